//! The instances that `basalt status` and `basalt expel` may ask.

use anyhow::{Result, bail};

use crate::arguments::DEFAULT_PEER;
use crate::settings::peers;
use crate::with_causes;

/// Calls `ask` with one address after another until it succeeds, and gives what it says.
///
/// # Errors
/// What `ask` said of the last address, and how to name others where it was the default; a list that
/// cannot be read, or is empty.
pub fn first_of<T>(list: &str, mut ask: impl FnMut(&str) -> Result<T>) -> Result<T> {
    let mut failed = None;
    let addresses: Vec<String> = peers(list)?.iter().map(ToString::to_string).collect();
    for address in &addresses {
        match ask(address) {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if addresses == [DEFAULT_PEER] => {
            bail!("{}; --peer names others to ask", with_causes(&error))
        }
        Some(error) => Err(error),
        None => bail!("no instance to ask is given"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_another_is_asked_until_one_answers() {
        let mut asked = Vec::new();
        let answer = first_of(":1, b:2,c:3", |address| {
            asked.push(address.to_owned());
            if address == "b:2" { Ok(7) } else { bail!("{address} is away") }
        });
        assert_eq!((answer.unwrap(), asked), (7, vec!["127.0.0.1:1".to_owned(), "b:2".to_owned()]));
        let told = |list: &str| {
            let away = first_of::<()>(list, |address| bail!("{address} is away"));
            away.unwrap_err().to_string()
        };
        assert_eq!(told("a:1,b:2"), "b:2 is away");
        assert_eq!(told("127.0.0.1:3301,b:2"), "b:2 is away");
        assert_eq!(told("a:1"), "a:1 is away");
        assert_eq!(told(DEFAULT_PEER), "127.0.0.1:3301 is away; --peer names others to ask");
        assert!(first_of(",", |_| Ok(())).is_err());
        assert!(first_of("nowhere", |_| Ok(())).is_err());
    }
}
