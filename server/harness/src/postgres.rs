//! The same tests on the second backend: within [`on_postgres`] every test server of the thread
//! keeps its log in one database of PostgreSQL.

use std::cell::RefCell;
use store::scratch::Scratch;

/// Where tests may make databases.
const SERVER: &str = "AM_TEST_POSTGRES";

thread_local! {
    static DATABASE: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Runs `test` with its servers on PostgreSQL; only says so where no server is named, and fails
/// then if `AM_TEST_ALL` asks for every test.
pub fn on_postgres(test: impl FnOnce()) {
    let Ok(server) = std::env::var(SERVER) else {
        assert!(
            std::env::var_os("AM_TEST_ALL").is_none(),
            "{SERVER} is not set, and AM_TEST_ALL asks for every test"
        );
        return skipped();
    };
    let database = Scratch::make(&server).expect("may make databases");
    DATABASE.set(Some(database));
    test();
    drop(DATABASE.take());
}

#[expect(clippy::print_stderr, reason = "a test that is not run says so")]
fn skipped() {
    eprintln!("not run: {SERVER} names no PostgreSQL server");
}

/// Flags and secrets of a server on the thread's database, if it has one.
pub(crate) fn flags() -> Vec<String> {
    DATABASE.with_borrow(|database| match database {
        None => Vec::new(),
        Some(database) => [
            "--database-url",
            database.url().expose(),
            "--jwt-secret",
            "a-jwt-secret-for-tests",
        ]
        .map(str::to_owned)
        .into(),
    })
}

/// Makes a test on PostgreSQL of each test of the module above.
#[macro_export]
macro_rules! also_on_postgres {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() { $crate::on_postgres(super::$name); })+
    };
}
