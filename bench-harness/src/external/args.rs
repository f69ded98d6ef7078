//! `--external`.

use clap::Args;

use super::Spec;
use crate::transport::WaitMode;
use crate::transport::registry;

/// No name is longer.
const NAME_LEN_MAX: usize = 40;

/// Programs of the user's.
#[derive(Debug, Clone, Default, Args)]
pub struct ExternalArgs {
    /// Enter a program of your own, in any language, as in 'my-queue/spin=python3 queue.py' (repeatable); see docs/external-contender.md
    #[arg(long, value_name = "NAME=COMMAND", value_parser = parse)]
    pub external: Vec<Spec>,
}

impl ExternalArgs {
    /// Adds them to the table of contenders.
    ///
    /// # Errors
    /// One sentence about a name that is there already.
    pub fn register(&self) -> Result<(), String> {
        self.external
            .iter()
            .try_for_each(|spec| registry::add(spec.clone().into_contender()))
    }
}

fn parse(text: &str) -> Result<Spec, String> {
    let Some((name, command)) = text.split_once('=') else {
        return Err(
            "there is no `=` in it; give a name and a command, as in my-queue=./my_queue"
                .to_owned(),
        );
    };
    let (name, wait) = match name.split_once('/') {
        None => (name, WaitMode::Park),
        Some((name, "spin")) => (name, WaitMode::Spin),
        Some((name, "spin-park")) => (name, WaitMode::SpinPark),
        Some((name, "park")) => (name, WaitMode::Park),
        Some((_, other)) => {
            return Err(format!(
                "{other:?} is no way to wait; choose spin, spin-park or park"
            ));
        }
    };
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} is no name; choose 1 to {NAME_LEN_MAX} of the characters a-z, 0-9 and -"
        ));
    }
    match shlex::split(command) {
        Some(command) if !command.is_empty() => Ok(Spec {
            name: name.to_owned(),
            wait,
            command,
        }),
        Some(_) => Err("there is no command after the `=`; give the path of a program".to_owned()),
        None => Err(format!("a quote in {command:?} is not closed; close it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_way_to_wait_and_a_command_are_told_apart() {
        let spec = parse("my-queue/spin=python3 'my queue.py' --x=1").unwrap();
        assert_eq!(
            (spec.name.as_str(), spec.wait),
            ("my-queue", WaitMode::Spin)
        );
        assert_eq!(spec.command, ["python3", "my queue.py", "--x=1"]);
        assert_eq!(parse("q=x").unwrap().wait, WaitMode::Park);
    }

    #[test]
    fn what_is_wrong_is_told_with_a_remedy() {
        for (text, part) in [
            ("python3 x.py", "as in my-queue=./my_queue"),
            ("q/sleep=x", "spin, spin-park or park"),
            ("Q=x", "a-z, 0-9 and -"),
            ("=x", "1 to 40"),
            ("q=", "no command"),
            ("q='x", "not closed"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let external = ExternalArgs {
            external: vec![parse("pipe=true").unwrap()],
        };
        let problem = external.register().unwrap_err();
        assert!(problem.contains("pipe/park"), "{problem}");
    }
}
