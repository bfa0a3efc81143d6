//! The binary of `am-admin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    am_admin::main()
}
