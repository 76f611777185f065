// PgJDBC against the server in $URL (a JDBC URL): types, batches, metadata, errors.
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;

public class Clients {
    static boolean failed = false;

    interface Body {
        void run() throws Exception;
    }

    static void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Exception error) {
            failed = true;
            System.out.println("FAIL " + name + ": " + String.valueOf(error).split("\n")[0]);
        }
    }

    static void equal(Object got, Object want) {
        if (!Objects.equals(got, want)) throw new IllegalStateException("got " + got + ", not " + want);
    }

    static void types(Connection c) throws Exception {
        try (PreparedStatement s = c.prepareStatement("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)")) {
            for (int k = 0; k < 20; k++) {
                s.setLong(1, k);
                s.setString(2, "row " + k);
                s.setBigDecimal(3, new BigDecimal("1.50").add(BigDecimal.valueOf(k)));
                s.setTimestamp(4, Timestamp.valueOf("2024-02-29 12:34:56.789"));
                s.setBytes(5, new byte[] {0, (byte) k});
                s.setObject(6, UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
                equal(s.executeUpdate(), 1);
            }
        }
        // After five runs the driver asks for binary results: both forms are read here.
        try (PreparedStatement s = c.prepareStatement("SELECT * FROM entry WHERE id = ?")) {
            for (int k = 0; k < 20; k++) {
                s.setLong(1, k);
                try (ResultSet r = s.executeQuery()) {
                    equal(r.next(), true);
                    equal(r.getLong(1), (long) k);
                    equal(r.getString(2), "row " + k);
                    equal(r.getBigDecimal(3), new BigDecimal("1.50").add(BigDecimal.valueOf(k)));
                    equal(r.getTimestamp(4), Timestamp.valueOf("2024-02-29 12:34:56.789"));
                    equal(r.getBytes(5)[1], (byte) k);
                    equal(r.getObject(6), UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
                }
            }
        }
    }

    static void batch(Connection c) throws Exception {
        try (PreparedStatement s = c.prepareStatement("INSERT INTO entry (id, name) VALUES (?, ?)")) {
            for (int k = 100; k < 150; k++) {
                s.setLong(1, k);
                s.setNull(2, Types.VARCHAR);
                s.addBatch();
            }
            equal(Arrays.stream(s.executeBatch()).sum(), 50);
        }
    }

    static void metadata(Connection c) throws Exception {
        List<String> names = new ArrayList<>();
        try (ResultSet r = c.getMetaData().getTables(null, "public", "entry", new String[] {"TABLE"})) {
            while (r.next()) names.add(r.getString("TABLE_NAME"));
        }
        equal(names, List.of("entry"));
    }

    /** The driver's query numbers the columns with row_number(), which the server does not have. */
    static void columns(Connection c) throws Exception {
        try (ResultSet r = c.getMetaData().getColumns(null, "public", "entry", null)) {
            throw new IllegalStateException("works: check the columns here");
        } catch (SQLException error) {
            equal(error.getSQLState(), "0A000");
        }
    }

    static void errors(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            s.executeUpdate("INSERT INTO entry (id) VALUES (1)");
        } catch (SQLException error) {
            equal(error.getSQLState(), "23505");
            return;
        }
        throw new IllegalStateException("no error");
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(System.getenv("URL"))) {
            try (Statement s = c.createStatement()) {
                s.execute("CREATE TABLE entry (id bigint PRIMARY KEY, name text, price numeric,"
                        + " at timestamp, raw bytea, tag uuid)");
            }
            check("types, text then binary", () -> types(c));
            check("batch with nulls", () -> batch(c));
            check("getTables", () -> metadata(c));
            check("getColumns is refused", () -> columns(c));
            check("errors have their states", () -> errors(c));
            try (Statement s = c.createStatement()) {
                s.execute("DROP TABLE entry");
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
