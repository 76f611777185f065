-- What people type into psql, and what its backslash commands ask.
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) DEFAULT 0, added timestamp);
CREATE INDEX item_name ON item (name);
\d
\dt
\d item
\di
\dn
-- What these show differs from one psql and one build to the next.
\o /dev/null
\l
\dt+
\du
\dp
\o
INSERT INTO item VALUES (1, 'one', 1.50, '2024-01-02 03:04:05'), (2, 'two', NULL, NULL);
SELECT * FROM item ORDER BY id;
\pset null '(null)'
SELECT * FROM item ORDER BY id;
INSERT INTO item VALUES (1, 'again');
\errverbose
SELECT 1 / 0;
SELECT nothing FROM item;
SELEC 1;
SELECT 'a' 'b';
SELECT nosuch(1);
INSERT INTO item (id) VALUES (3);
INSERT INTO item VALUES ('x', 'y');
INSERT INTO item VALUES (3, 'three', 1e10);
CREATE TABLE item (id int PRIMARY KEY);
DROP TABLE nowhere;
DROP TABLE IF EXISTS nowhere;
BEGIN;
ROLLBACK;
SELECT 2147483647 + 1;
SELECT 1; SELECT 1 / 0; SELECT 2;
SELECT 'item'::regclass = oid AS same, oid::regclass AS shown FROM pg_class WHERE relname = 'item';
SELECT to_regclass('nothing') IS NULL AS missing;
SELECT has_table_privilege('item', 'SELECT'), pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'item';
SELECT ARRAY(SELECT id FROM item ORDER BY id DESC) AS ids, ARRAY(SELECT id FROM item WHERE id > 9) AS none;
PREPARE by_id (int) AS SELECT name FROM item WHERE id = $1;
SELECT count(*) FROM item \gset
\echo rows: :count
UPDATE item SET price = price * 2 WHERE id = 1;
DELETE FROM item WHERE id = 2;
\copy item TO STDOUT
DROP TABLE item;
SELECT 1 AS a, 'x'::text AS b, NULL::numeric(10,2) AS c \gdesc
SELECT 'SELECT ' || n AS "generated" FROM generate_series(1, 2) AS g (n) \gexec
-- Every type: what is written comes back.
CREATE TABLE kind (id int PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric, n12 numeric(12,3), t text, v varchar(5), c char(4), u uuid, ba bytea, d date, ts timestamp, tz timestamptz, j json, ia integer[], ta text[]);
INSERT INTO kind VALUES
  (1, true, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', 'NaN', -999999999.9994, '', '', '', '00000000-0000-0000-0000-000000000000', '\x', '-infinity', '0001-01-01', '4714-11-24 BC', 'null', '{}', '{}'),
  (2, false, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1e-300, 123456789012345678901234567890.50, 0.0005, 'žluť ☃ "q" ''a'' \', '☃☃☃☃☃', 'ab', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\x00ff', '9999-12-31', '9999-12-31 23:59:59.999999', '2024-02-29 12:34:56.789+05:30', '{"a": [1, null],  "b":{}}', '{1,NULL,-3}', '{a,"b c",NULL,"NULL",""}'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
\x on
SELECT * FROM kind ORDER BY id;
\x off
SELECT id FROM kind WHERE c = 'ab' AND u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AND tz = '2024-02-29 07:04:56.789Z';
SELECT '1e-400'::float8;
SELECT '2024-02-30'::date;
SELECT '{'::json;
SELECT 'x'::uuid;
INSERT INTO kind (id, v) VALUES (4, 'longer');
INSERT INTO kind (id, i2) VALUES (4, 40000);
CREATE TABLE missing (id int PRIMARY KEY, v interval);
DROP TABLE kind;
