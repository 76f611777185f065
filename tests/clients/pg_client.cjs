// node-postgres against the server in $URL: types, prepared statements, errors, a pool.
const assert = require("node:assert");
const { Client, Pool } = require("pg");

let failed = false;

async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failed = true;
    console.log(`FAIL ${name}: ${error.message.split("\n")[0]}`);
  }
}

async function state(client, sql, values) {
  try {
    await client.query(sql, values);
  } catch (error) {
    return error.code;
  }
  return "no error";
}

async function main() {
  const client = new Client(process.env.URL);
  await client.connect();
  await client.query("CREATE TABLE note (id bigint PRIMARY KEY, body text, done boolean, at timestamptz, raw bytea, data json)");

  await check("values both ways", async () => {
    const at = new Date("2024-02-29T12:34:56.789Z");
    const row = ["9007199254740993", "žluť ☃", true, at, Buffer.from([0, 255]), { a: [1, null] }];
    await client.query("INSERT INTO note VALUES ($1, $2, $3, $4, $5, $6)", row);
    const { rows } = await client.query("SELECT * FROM note WHERE id = $1", [row[0]]);
    assert.deepStrictEqual(rows, [
      { id: row[0], body: row[1], done: true, at, raw: row[4], data: row[5] },
    ]);
  });
  await check("nulls", async () => {
    await client.query("INSERT INTO note VALUES ($1, $2, $3, $4, $5, $6)", [1, null, null, null, null, null]);
    const { rows } = await client.query("SELECT body, done, at, raw, data FROM note WHERE id = 1");
    assert.deepStrictEqual(Object.values(rows[0]), [null, null, null, null, null]);
  });
  await check("a named statement, many times", async () => {
    for (let k = 0; k < 50; k += 1) {
      const { rows } = await client.query({ name: "twice", text: "SELECT $1::int * 2 AS n", values: [k] });
      assert.strictEqual(rows[0].n, 2 * k);
    }
  });
  await check("rows in pieces", async () => {
    const text = "SELECT n FROM generate_series(1, $1::int) AS g (n)";
    for (const rows of [1, 7, 50, 100, 101]) {
      const all = await client.query({ text, values: [100], rows });
      assert.deepStrictEqual(all.rows.map((r) => r.n), [...Array(100).keys()].map((k) => k + 1));
    }
  });
  await check("extremes", async () => {
    const text = "SELECT $1::float8 AS a, $2::float8 AS b, $3::float8 AS c, $4::numeric AS d, $5::text AS e, $6::int[] AS f";
    const values = [1e-300, -Infinity, NaN, "9".repeat(100), "", [1, null, -2147483648]];
    const { rows } = await client.query({ text, values });
    assert.deepStrictEqual(Object.values(rows[0]), values);
  });
  await check("what is missing is refused", async () => {
    assert.strictEqual(await state(client, "BEGIN"), "0A000");
    assert.strictEqual(await state(client, "COPY note TO STDOUT"), "0A000");
  });
  await check("errors have their codes", async () => {
    assert.strictEqual(await state(client, "INSERT INTO note (id) VALUES (1)"), "23505");
    assert.strictEqual(await state(client, "SELECT $1::int", ["x"]), "22P02");
    assert.strictEqual(await state(client, "SELECT * FROM nowhere"), "42P01");
    assert.strictEqual((await client.query("SELECT 1 AS n")).rows[0].n, 1);
  });
  await check("counts", async () => {
    const update = await client.query("UPDATE note SET body = 'x'");
    assert.deepStrictEqual([update.command, update.rowCount], ["UPDATE", 2]);
  });
  await check("a pool", async () => {
    const pool = new Pool({ connectionString: process.env.URL, max: 4 });
    const all = await Promise.all([...Array(40).keys()].map((k) => pool.query("SELECT $1::int AS n", [k])));
    await pool.end();
    assert.deepStrictEqual(all.map((r) => r.rows[0].n), [...Array(40).keys()]);
  });
  await client.query("DROP TABLE note");
  await client.end();
  process.exit(failed ? 1 : 0);
}

main().catch((error) => {
  console.log(`FAIL connection: ${error.message}`);
  process.exit(1);
});
