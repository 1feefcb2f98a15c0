//! A receiver of webhooks: answers as it is told, and checks signatures by itself.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What the receiver does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Reaction {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection without an answer.
    Close,
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Panics unless one of the signatures is the one of this secret, and the time is about now.
    pub fn verify(&self, secret: &str) {
        let timestamp = &self.headers["webhook-timestamp"];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(timestamp.parse::<u64>().unwrap().abs_diff(now) < 300, "{timestamp}");
        let key = Base64::decode_vec(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        for part in [self.id(), ".", timestamp, ".", &self.body] {
            mac.update(part.as_bytes());
        }
        let expected = format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()));
        let shown = &self.headers["webhook-signature"];
        assert!(shown.split(' ').any(|signature| signature == expected), "{shown} instead of {expected}");
    }
}

/// The receiver; it lives as long as the process.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    script: VecDeque<Reaction>,
    pause: Duration,
}

impl Receiver {
    /// Answers 200 after this pause, but for what [`Receiver::react`] says.
    pub fn start(pause: Duration) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { pause, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Receiver { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What is done with the next requests.
    pub fn react(&self, reactions: &[Reaction]) {
        self.state.lock().unwrap().script.extend(reactions);
    }

    /// Everything that came.
    pub fn messages(&self) -> Vec<Message> {
        self.state.lock().unwrap().messages.clone()
    }

    /// What came of one kind.
    pub fn of(&self, event: &str) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.json()["type"] == event).collect()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(message) = read(&mut reader) {
        let (reaction, pause) = {
            let mut state = state.lock().unwrap();
            state.messages.push(message);
            (state.script.pop_front().unwrap_or(Reaction::Status(200)), state.pause)
        };
        std::thread::sleep(pause);
        match reaction {
            Reaction::Status(status) => {
                let location = "Location: http://127.0.0.1:1/elsewhere\r\n";
                let answer = format!("HTTP/1.1 {status} Said\r\n{location}Content-Length: 0\r\n\r\n");
                if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Reaction::Close => return,
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Message { path, headers, body: String::from_utf8(body).ok()? })
}
