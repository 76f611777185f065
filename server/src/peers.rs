//! The instances that `basalt status` and `basalt expel` may ask.

use anyhow::{Result, bail};

use crate::settings::peers;
use crate::with_causes;

/// Calls `ask` with one address after another until it succeeds, and gives what it says.
///
/// # Errors
/// What `ask` said of the last address, and how to name others; a list that cannot be read, or is
/// empty.
pub fn first_of<T>(list: &str, mut ask: impl FnMut(&str) -> Result<T>) -> Result<T> {
    let mut failed = None;
    for address in peers(list)? {
        match ask(&address.to_string()) {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => bail!("{}; --peer names others to ask", with_causes(&error)),
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
        let away = first_of::<()>("a:1,b:2", |address| bail!("{address} is away"));
        let told = away.unwrap_err().to_string();
        assert_eq!(told, "b:2 is away; --peer names others to ask");
        assert!(first_of(",", |_| Ok(())).is_err());
        assert!(first_of("nowhere", |_| Ok(())).is_err());
    }
}
