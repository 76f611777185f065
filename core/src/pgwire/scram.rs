//! SCRAM-SHA-256: proving that one knows a password without sending it (RFC 5802, RFC 7677).
//!
//! ```text
//! client                                                    server
//!   n,,n=,r=<c>                                   ──►
//!                                                 ◄──   r=<c><s>,s=<salt>,i=<iterations>
//!   c=biws,r=<c><s>,p=<proof>                     ──►
//!                                                 ◄──   v=<signature>
//! ```
//!
//! With `Salted = PBKDF2(password, salt, i)`: the server stores `StoredKey = H(HMAC(Salted, "Client Key"))`
//! and `ServerKey = HMAC(Salted, "Server Key")`, in PostgreSQL's own spelling
//! `SCRAM-SHA-256$<i>:<salt>$<StoredKey>:<ServerKey>`, so a stolen catalog holds no password and hashes
//! move between the two systems. For a user without a password the server plays the same exchange
//! against a made-up salt and refuses at the end: an outsider cannot tell which users exist.
//!
//! Left out: channel binding (`SCRAM-SHA-256-PLUS`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::protocol_violation;
use crate::base::{SqlError, SqlResult, SqlState};
use crate::seam::Rng;

/// The one mechanism offered.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// PostgreSQL's default iteration count.
pub const DEFAULT_ITERATIONS: u32 = 4096;

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;
const KEY_BYTES: usize = 32;

type Key = [u8; KEY_BYTES];

/// What the catalog stores of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(secret)")
    }
}

impl Verifier {
    /// The verifier of `password` with a fresh salt.
    pub fn of_password(password: &str, iterations: u32, rng: &mut Rng) -> Verifier {
        let mut salt = vec![0; SALT_BYTES];
        rng.fill(&mut salt);
        let salted = salted_password(password, &salt, iterations);
        Verifier {
            iterations,
            salt,
            stored_key: Sha256::digest(hmac(&salted, &[b"Client Key"])).into(),
            server_key: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// Reads the stored form; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Verifier> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|i| *i > 0)?;
        Some(Verifier {
            iterations,
            salt: BASE64.decode(salt).ok()?,
            stored_key: BASE64.decode(stored).ok()?.try_into().ok()?,
            server_key: BASE64.decode(server).ok()?.try_into().ok()?,
        })
    }

    /// The form stored in the catalog.
    pub fn stored_form(&self) -> String {
        format!(
            "{MECHANISM}${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key)
        )
    }

    /// A verifier no password matches; the same user always gets the same salt.
    fn mock(user: &str, secret: &[u8; 32]) -> Verifier {
        let salt = Sha256::new().chain_update(secret).chain_update(user).finalize();
        Verifier {
            iterations: DEFAULT_ITERATIONS,
            salt: salt[..SALT_BYTES].to_vec(),
            stored_key: [0; KEY_BYTES],
            server_key: [0; KEY_BYTES],
        }
    }
}

/// `28P01`, the same for every reason.
fn refused(user: &str) -> SqlError {
    let message = format!("password authentication failed for user \"{user}\"");
    SqlError::new(SqlState::InvalidPassword, message)
}

fn malformed(detail: &str) -> SqlError {
    protocol_violation("malformed SCRAM message").with_detail(detail)
}

/// The server's side of one exchange.
#[derive(Debug)]
pub struct Server {
    user: String,
    verifier: Verifier,
    /// The user has no password: refuse whatever the proof.
    doomed: bool,
    nonce: String,
    state: ServerState,
}

#[derive(Debug)]
enum ServerState {
    First,
    Final { gs2_header: String, client_first_bare: String, server_first: String },
    Done,
}

/// What the server does after a message of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Send this as `AuthenticationSASLContinue`.
    Continue(String),
    /// The password is right: send this as `AuthenticationSASLFinal`.
    Proven(String),
}

impl Server {
    /// `secret` makes the salts of users without a verifier; it is stable and known to nobody outside.
    pub fn new(user: &str, verifier: Option<Verifier>, secret: &[u8; 32], rng: &mut Rng) -> Server {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        Server {
            user: user.to_owned(),
            doomed: verifier.is_none(),
            verifier: verifier.unwrap_or_else(|| Verifier::mock(user, secret)),
            nonce: BASE64.encode(nonce),
            state: ServerState::First,
        }
    }

    /// Whether the next message is the client's first (`SASLInitialResponse`).
    pub fn expects_first(&self) -> bool {
        matches!(self.state, ServerState::First)
    }

    /// Takes the client's next message. Errors end the connection.
    pub fn receive(&mut self, message: &[u8]) -> SqlResult<Progress> {
        let message = std::str::from_utf8(message).map_err(|_| malformed("It is not UTF-8."))?;
        match std::mem::replace(&mut self.state, ServerState::Done) {
            ServerState::First => self.first(message),
            ServerState::Final { gs2_header, client_first_bare, server_first } => {
                self.last(message, &gs2_header, &client_first_bare, &server_first)
            }
            ServerState::Done => Err(malformed("The exchange is over.")),
        }
    }

    fn first(&mut self, message: &str) -> SqlResult<Progress> {
        let (gs2_header, bare) = split_gs2_header(message)?;
        if bare.starts_with("m=") {
            return Err(malformed("The client requires an unsupported extension."));
        }
        let mut attributes = bare.split(',');
        // The name in here is ignored, as in PostgreSQL: the one in the startup packet counts.
        attribute(attributes.next(), 'n')?;
        let client_nonce = attribute(attributes.next(), 'r')?;
        if client_nonce.is_empty() || !client_nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed("The nonce has non-printable characters."));
        }
        self.nonce.insert_str(0, client_nonce);
        let server_first = format!(
            "r={},s={},i={}",
            self.nonce,
            BASE64.encode(&self.verifier.salt),
            self.verifier.iterations
        );
        self.state = ServerState::Final {
            gs2_header: gs2_header.to_owned(),
            client_first_bare: bare.to_owned(),
            server_first: server_first.clone(),
        };
        Ok(Progress::Continue(server_first))
    }

    fn last(
        &mut self,
        message: &str,
        gs2_header: &str,
        client_first_bare: &str,
        server_first: &str,
    ) -> SqlResult<Progress> {
        let Some((without_proof, proof)) = message.rsplit_once(",p=") else {
            return Err(malformed("The client's final message has no proof."));
        };
        let mut attributes = without_proof.split(',');
        if attribute(attributes.next(), 'c')? != BASE64.encode(gs2_header) {
            return Err(malformed("The channel-binding attribute is not the one announced."));
        }
        if attribute(attributes.next(), 'r')? != self.nonce {
            return Err(malformed("The nonce does not match."));
        }
        let proof: Option<Key> = BASE64.decode(proof).ok().and_then(|p| p.try_into().ok());
        let Some(proof) = proof else { return Err(malformed("The proof is not 32 bytes.")) };

        let signed = [client_first_bare, ",", server_first, ",", without_proof];
        let signed = signed.map(str::as_bytes);
        let client_key = xor(&proof, &hmac(&self.verifier.stored_key, &signed));
        let known = same(&Sha256::digest(client_key).into(), &self.verifier.stored_key);
        if self.doomed || !known {
            return Err(refused(&self.user));
        }
        let signature = hmac(&self.verifier.server_key, &signed);
        Ok(Progress::Proven(format!("v={}", BASE64.encode(signature))))
    }
}

/// Splits `n,,` or `y,,` from the client's first message.
fn split_gs2_header(message: &str) -> SqlResult<(&str, &str)> {
    if message.starts_with("p=") {
        return Err(malformed("The client selected SCRAM-SHA-256 with channel binding."));
    }
    let header_end = message.match_indices(',').nth(1).map(|(at, _)| at + 1);
    let Some(end) = header_end else { return Err(malformed("The GS2 header is incomplete.")) };
    match &message[..end] {
        "n,," | "y,," => Ok(message.split_at(end)),
        _ => Err(malformed("The client asks for an authorization identity or a bad GS2 header.")),
    }
}

/// The value of `<letter>=value`.
fn attribute(text: Option<&str>, letter: char) -> SqlResult<&str> {
    let value = text.and_then(|t| t.strip_prefix(letter)).and_then(|t| t.strip_prefix('='));
    value.ok_or_else(|| malformed(&format!("Expected attribute \"{letter}\".")))
}

/// The client's side of one exchange.
#[derive(Debug)]
pub struct Client {
    password: String,
    nonce: String,
    /// Set once the server's first message was answered.
    server_signature: Option<Key>,
}

impl Client {
    /// `nonce` must be printable ASCII without commas and fresh for each exchange.
    pub fn new(password: &str, nonce: &str) -> Client {
        Client { password: password.to_owned(), nonce: nonce.to_owned(), server_signature: None }
    }

    pub fn first(&self) -> String {
        format!("n,,n=,r={}", self.nonce)
    }

    /// Answers the server's first message. Error: it is malformed or not an answer to ours.
    pub fn answer(&mut self, server_first: &str) -> SqlResult<String> {
        let mut attributes = server_first.split(',');
        let nonce = attribute(attributes.next(), 'r')?;
        let salt = attribute(attributes.next(), 's')?;
        let iterations = attribute(attributes.next(), 'i')?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(malformed("The server's nonce does not extend ours."));
        }
        let salt = BASE64.decode(salt).map_err(|_| malformed("The salt is not base64."))?;
        let iterations = iterations.parse().map_err(|_| malformed("The count is no number."))?;

        let salted = salted_password(&self.password, &salt, iterations);
        let client_key = hmac(&salted, &[b"Client Key"]);
        let stored_key: Key = Sha256::digest(client_key).into();
        let without_proof = format!("c=biws,r={nonce}");
        let bare = format!("n=,r={}", self.nonce);
        let signed = [&bare, ",", server_first, ",", &without_proof].map(str::as_bytes);
        let proof = xor(&client_key, &hmac(&stored_key, &signed));
        self.server_signature = Some(hmac(&hmac(&salted, &[b"Server Key"]), &signed));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks that the server knew the password too.
    pub fn check(&self, server_final: &str) -> SqlResult<()> {
        let signature = BASE64.decode(attribute(Some(server_final), 'v')?).ok();
        let signature: Option<Key> = signature.and_then(|s| s.try_into().ok());
        match (signature, self.server_signature) {
            (Some(a), Some(b)) if same(&a, &b) => Ok(()),
            _ => Err(malformed("The server's signature is wrong.")),
        }
    }
}

/// PBKDF2 with HMAC-SHA-256, one block. A password that SASLprep refuses is used as it is, as in PostgreSQL.
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let prepared = stringprep::saslprep(password);
    let password = prepared.as_deref().unwrap_or(password);
    let keyed = keyed(password.as_bytes());
    let mut block: Key = keyed
        .clone()
        .chain_update(salt)
        .chain_update(1u32.to_be_bytes())
        .finalize()
        .into_bytes()
        .into();
    let mut result = block;
    for _ in 1..iterations {
        block = keyed.clone().chain_update(block).finalize().into_bytes().into();
        result = xor(&result, &block);
    }
    result
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn xor(a: &Key, b: &Key) -> Key {
    std::array::from_fn(|k| a[k] ^ b[k])
}

/// Compares without telling by its duration where the first difference is.
fn same(a: &Key, b: &Key) -> bool {
    a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn rng() -> Rng {
        Rng::from_u64(1)
    }

    /// Plays the exchange; the server's verdict and whether the client trusts the server.
    fn exchange(stored: Option<&str>, offered: &str) -> SqlResult<()> {
        let verifier = stored.map(|p| Verifier::of_password(p, 8, &mut rng()));
        let mut server = Server::new("alice", verifier, &SECRET, &mut rng());
        let mut client = Client::new(offered, "fyko+d2lbbFgONRv9qkxdawL");
        let Progress::Continue(first) = server.receive(client.first().as_bytes())? else {
            panic!("proven too early")
        };
        let answer = client.answer(&first)?;
        let Progress::Proven(last) = server.receive(answer.as_bytes())? else {
            panic!("asked again")
        };
        client.check(&last)
    }

    /// The example of RFC 7677, section 3, through the client's side.
    #[test]
    fn the_example_of_the_rfc() {
        // The RFC's client sends a user name; PostgreSQL's do not, so the signature differs there.
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password("pencil", &salt, 4096);
        let client_key = hmac(&salted, &[b"Client Key"]);
        let stored_key: Key = Sha256::digest(client_key).into();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = xor(&client_key, &hmac(&stored_key, &[message.as_bytes()]));
        assert_eq!(BASE64.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = hmac(&hmac(&salted, &[b"Server Key"]), &[message.as_bytes()]);
        assert_eq!(BASE64.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_right_password_passes_and_no_other() {
        assert_eq!(exchange(Some("pencil"), "pencil"), Ok(()));
        // SASLprep maps a non-breaking space to a space.
        assert_eq!(exchange(Some("a b"), "a\u{a0}b"), Ok(()));
        let refusal = exchange(Some("pencil"), "pencils").unwrap_err();
        assert_eq!(refusal.state, SqlState::InvalidPassword);
        assert_eq!(refusal.message, "password authentication failed for user \"alice\"");
    }

    #[test]
    fn a_user_without_password_is_refused_like_a_wrong_password() {
        assert_eq!(exchange(None, "x"), exchange(Some("y"), "x"));
        let salt = |user: &str| Verifier::mock(user, &SECRET).salt;
        assert_eq!(salt("bob"), salt("bob"));
        assert_ne!(salt("bob"), salt("eve"));
    }

    #[test]
    fn the_stored_form_is_read_back() {
        let verifier = Verifier::of_password("x", DEFAULT_ITERATIONS, &mut rng());
        let stored = verifier.stored_form();
        assert!(stored.starts_with("SCRAM-SHA-256$4096:"), "{stored}");
        assert_eq!(Verifier::parse(&stored), Some(verifier));
        for bad in
            ["", "md5abc", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-256$1:AA==$AA==:AA=="]
        {
            assert_eq!(Verifier::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        for first in [
            "",
            "n,,",
            "n,,n=",
            "p=tls-server-end-point,,n=,r=x",
            "n,a=bob,n=,r=x",
            "n,,m=1,n=,r=x",
            "n,,n=,r=",
        ] {
            let mut server = Server::new("alice", None, &SECRET, &mut rng());
            let error = server.receive(first.as_bytes()).unwrap_err();
            assert_eq!(error.state, SqlState::ProtocolViolation, "{first}");
        }
        for last in ["", "c=biws,r=x,p=AA==", "c=eSws,r=x,p=AA==", "c=biws,r=x"] {
            let mut server = Server::new("alice", None, &SECRET, &mut rng());
            server.receive(b"n,,n=,r=x").unwrap();
            let error = server.receive(last.as_bytes()).unwrap_err();
            assert_eq!(error.state, SqlState::ProtocolViolation, "{last}");
        }
    }
}
