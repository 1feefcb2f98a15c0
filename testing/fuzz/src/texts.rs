//! Texts of the protocol: MQTT passwords, topics, event texts, URLs, and encrypted frames.

use quecota_core::limits::SESSION_KEY;
use quecota_core::wire::credential::{Password, SessionCipher};
use quecota_core::wire::event::{PieceEvent, PlanEvent, StartEvent};
use quecota_core::wire::http::{HttpError, Url};
use quecota_core::wire::topic::{Leaf, Topic};

const PRODUCT_SECRET: &str = "MTIzNDU2Nzg5MGFi";
const DEVICE_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The first byte says which text the rest is.
pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    if *kind == b'c' {
        return cipher(rest);
    }
    let Ok(text) = str::from_utf8(rest) else { return };
    match kind {
        b'p' => password(text),
        b't' => topic(text),
        b'u' => url(text),
        _ => event(text),
    }
}

fn password(text: &str) {
    match Password::parse(text) {
        Ok(Password::Bootstrap(bootstrap)) => {
            if let Ok(device_key) = bootstrap.open(PRODUCT_SECRET) {
                assert!(!device_key.is_empty());
            }
        }
        Ok(Password::Login(login)) => _ = login.verify(PRODUCT_SECRET, DEVICE_SECRET),
        Err(error) => _ = error.to_string(),
    }
}

fn topic(text: &str) {
    if let Ok(topic) = Topic::parse(text)
        && let Ok(answer) = topic.answer(Leaf::Bus)
    {
        let back = Topic::parse(&answer).expect("an answer's topic is one");
        assert_eq!((back.client_id, back.peer), (topic.client_id, topic.peer));
    }
}

fn url(text: &str) {
    let Ok(url) = Url::parse(text) else { return };
    let mut out = vec![0; 2 * text.len() + 200];
    let length = match url.request(1, u32::MAX, &mut out) {
        Err(HttpError::Credentials) => return,
        written => written.expect("room for every request"),
    };
    let request = str::from_utf8(&out[..length]).expect("a text");
    let lines = 7 + usize::from(!url.credentials.is_empty());
    assert_eq!(request.matches("\r\n").count(), lines, "no URL adds a line to the request: {request:?}");
    assert_eq!(request.lines().next().map(|line| line.split(' ').count()), Some(3), "{request:?}");
}

fn event(text: &str) {
    if let Ok(event) = PlanEvent::parse(text)
        && let Ok(written) = event.text()
    {
        assert_eq!(PlanEvent::parse(&written), Ok(event));
    }
    if let Ok(event) = StartEvent::parse(text)
        && let Ok(written) = event.text()
    {
        assert_eq!(StartEvent::parse(&written), Ok(event));
    }
    if let Ok(event) = PieceEvent::parse(text)
        && let Ok(written) = event.text()
    {
        assert_eq!(PieceEvent::parse(&written), Ok(event));
    }
}

/// What is decrypted comes out of encryption as it came; the reverse holds for any bytes.
fn cipher(bytes: &[u8]) {
    let (key, message) = bytes.split_at(bytes.len().min(SESSION_KEY));
    let cipher = SessionCipher::new(key.try_into().unwrap_or(b"0123456789abcdef"));
    let mut room = message.to_vec();
    if let Ok(plain) = cipher.decrypt(&mut room) {
        let length = plain.len();
        let again = cipher.encrypt(&mut room, length).expect("the room that it had");
        assert_eq!(&room[..again], message);
    }
    let mut room = [message, &[0; 16]].concat();
    let length = cipher.encrypt(&mut room, message.len()).expect("room for the padding");
    assert_eq!(cipher.decrypt(&mut room[..length]).expect("our own"), message);
}
