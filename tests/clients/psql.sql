-- What people type into psql, and what its backslash commands ask.
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) DEFAULT 0, added timestamp);
CREATE INDEX item_name ON item (name);
\d
\dt
\d item
\di
\dn
\l
INSERT INTO item VALUES (1, 'one', 1.50, '2024-01-02 03:04:05'), (2, 'two', NULL, NULL);
SELECT * FROM item ORDER BY id;
\pset null '(null)'
SELECT * FROM item ORDER BY id;
INSERT INTO item VALUES (1, 'again');
\errverbose
SELECT 1 / 0;
SELECT nothing FROM item;
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
