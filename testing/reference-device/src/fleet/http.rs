//! Range requests of many devices on one thread.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::download::{Head, head_of, request, split};

/// The vendor gives up on a stalled transfer after 10 s.
const STALL: Duration = Duration::from_secs(10);

/// A server of firmware, and a connection to it while there is one.
pub struct Source {
    host: String,
    port: u16,
    path: String,
    stream: Option<TcpStream>,
    input: Vec<u8>,
}

impl Source {
    /// The source of `url`, not connected yet.
    pub fn new(url: &str) -> Result<Source, String> {
        let (host, port, path) = split(url)?;
        Ok(Source { host, port, path, stream: None, input: Vec::new() })
    }

    /// Bytes `from..=until`, read at `pace` bytes a second at most. The connection stays open for the next range.
    pub async fn range(&mut self, from: u64, until: u64, pace: Option<u32>) -> Result<&[u8], String> {
        let wanted = usize::try_from(until - from + 1).map_err(|_| "a range too large for this machine")?;
        // A connection that the server has closed meanwhile is made anew, once.
        let is_old = self.stream.is_some();
        let mut answer = self.answer(from, until, pace).await;
        if answer.is_err() && is_old {
            self.stream = None;
            answer = self.answer(from, until, pace).await;
        }
        let head = answer.inspect_err(|_| self.stream = None)?;
        let status = head.text.get(9..12).unwrap_or_default();
        if status != "206" || head.length != wanted {
            self.stream = None;
            return Err(format!("status {status}, {} bytes; {wanted} were asked for", head.length));
        }
        if head.text.contains("Connection: close") {
            self.stream = None;
        }
        let body = head.text.len()..head.text.len() + wanted;
        self.input.get(body).ok_or("a body that is too short".into())
    }

    /// Forgets the connection: the vendor makes one for each range.
    pub fn close(&mut self) {
        self.stream = None;
    }

    async fn answer(&mut self, from: u64, until: u64, pace: Option<u32>) -> Result<Head, String> {
        let stalled = |_| format!("nothing came for {STALL:?}");
        let words = |error: std::io::Error| error.to_string();
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let open = TcpStream::connect((self.host.as_str(), self.port));
                let stream = timeout(STALL, open).await.map_err(stalled)?.map_err(words)?;
                self.stream.insert(stream)
            }
        };
        let request = request(&self.host, self.port, &self.path, from, until);
        timeout(STALL, stream.write_all(request.as_bytes())).await.map_err(stalled)?.map_err(words)?;
        self.input.clear();
        let mut head: Option<Head> = None;
        // A slow reader takes ten sips a second.
        let sip = pace.map(|pace| u64::from(pace / 10).max(1));
        loop {
            if head.is_none() {
                head = head_of(&self.input)?;
                if let Some(head) = &head {
                    self.input.reserve(head.length);
                }
            }
            match &head {
                Some(head) if self.input.len() >= head.text.len() + head.length => return Ok(head.clone()),
                _ => {}
            }
            let read = match sip {
                Some(sip) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let mut limited = (&mut *stream).take(sip);
                    timeout(STALL, limited.read_buf(&mut self.input)).await
                }
                None => timeout(STALL, stream.read_buf(&mut self.input)).await,
            };
            if read.map_err(stalled)?.map_err(words)? == 0 {
                return Err(format!("closed after {} bytes", self.input.len()));
            }
        }
    }
}
