//! The Go tool's command line, turned into ours: `-action down -db FILE -target 3` becomes
//! `down --db FILE --target 3`. Lines in our own spelling pass unchanged, one dash apart.

use std::ffi::OsString;

const LONG: [&str; 8] = [
    "action",
    "db",
    "database-url",
    "target",
    "data-dir",
    "json",
    "yes",
    "help",
];

/// The line for clap; the error is a sentence about an action that does not exist here.
pub(crate) fn translate(args: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let mut args: Vec<OsString> = args.into_iter().map(two_dashes).collect();
    let Some(action) = take_action(&mut args) else {
        return Ok(args);
    };
    let has_target = args.iter().any(|arg| {
        arg.to_str()
            .is_some_and(|text| text.starts_with("--target"))
    });
    match action.as_str() {
        // The old default: everything is undone.
        "down" if !has_target => args.extend(["--target", "0"].map(OsString::from)),
        "up" | "down" | "status" => {}
        "create" => {
            return Err(
                "migrations are written in the source tree: see CONTRIBUTING.md".to_owned(),
            );
        }
        other => {
            return Err(format!("unknown action {other:?}: say up, down or status"));
        }
    }
    args.insert(1.min(args.len()), OsString::from(action));
    Ok(args)
}

/// `-db` and `-db=FILE` with two dashes.
fn two_dashes(arg: OsString) -> OsString {
    let name = arg.to_str().and_then(|text| text.strip_prefix('-'));
    let name = name.and_then(|text| text.split('=').next());
    if !name.is_some_and(|name| LONG.contains(&name)) {
        return arg;
    }
    let mut two = OsString::from("-");
    two.push(arg);
    two
}

/// Takes `--action X` or `--action=X` out of the line.
fn take_action(args: &mut Vec<OsString>) -> Option<String> {
    let at = args.iter().position(|arg| {
        arg.to_str()
            .is_some_and(|text| text.split('=').next() == Some("--action"))
    })?;
    let flag = args.remove(at);
    if let Some((_, value)) = flag.to_str().and_then(|text| text.split_once('=')) {
        return Some(value.to_owned());
    }
    let value = (at < args.len()).then(|| args.remove(at));
    Some(
        value
            .and_then(|value| value.into_string().ok())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<String, String> {
        let args = line.split(' ').map(OsString::from).collect();
        translate(args).map(|args| args.join(&OsString::from(" ")).into_string().unwrap())
    }

    #[test]
    fn old_lines_become_subcommands() {
        assert_eq!(translated("m -action up -db x").unwrap(), "m up --db x");
        assert_eq!(
            translated("m -db x -action=status").unwrap(),
            "m status --db x"
        );
        assert_eq!(
            translated("m -action down -target 3").unwrap(),
            "m down --target 3"
        );
        assert_eq!(
            translated("m --action down -db=x").unwrap(),
            "m down --db=x --target 0"
        );
    }

    #[test]
    fn our_own_lines_pass_unchanged() {
        assert_eq!(
            translated("m --db x down 2 --yes").unwrap(),
            "m --db x down 2 --yes"
        );
        assert_eq!(translated("m").unwrap(), "m");
    }

    #[test]
    fn actions_that_do_not_exist_are_named() {
        assert!(
            translated("m -action sideways")
                .unwrap_err()
                .contains("sideways")
        );
        assert!(translated("m -action").is_err());
        assert!(
            translated("m -action create -name x")
                .unwrap_err()
                .contains("CONTRIBUTING")
        );
    }
}
