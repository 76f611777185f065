//! A whole cluster behind the command line: started, asked, stopped, resumed.

use crate::demo::Demo;

#[test]
fn a_demo_serves_statements_and_resumes_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    assert_eq!(demo.greeting.matches("psql \"postgres://admin:").count(), 3);
    let script = "create table t (id int primary key, v text);\n\
                  insert into t values (1, 'a;b'), (2, null);\nselect * from t order by id";
    assert_eq!(demo.admin(script), (true, "id,v\n1,a;b\n2,\n".to_owned()));
    let (succeeded, printed) = demo.admin("select nonsense; select count(*) from t;");
    assert!(!succeeded);
    assert!(printed.starts_with("count\n2\nERROR:  "), "{printed}");
    assert!(demo.interrupt());

    let demo = Demo::start(directory.path());
    let online = "select count(*) from _pico_instance where current_state = 'Online';";
    assert_eq!(demo.admin(online), (true, "count\n3\n".to_owned()));
    assert_eq!(demo.admin("select id from t;"), (true, "id\n1\n2\n".to_owned()));
    assert!(demo.interrupt());
}
