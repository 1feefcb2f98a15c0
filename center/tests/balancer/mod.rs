//! A TCP balancer: each connection goes to the next of its servers that takes it.
#![allow(dead_code)] // each test file uses its own part

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// It lives as long as the test's process.
#[derive(Clone)]
pub struct Balancer {
    address: SocketAddr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
    /// Bytes are held back: the network between the two sides is cut, and neither learns of it.
    cut: Arc<AtomicBool>,
}

impl Balancer {
    /// On a free port, without servers: connections are closed at once.
    pub fn start() -> Balancer {
        Self::saying(|_| Vec::new())
    }

    /// The same, which says these bytes first to the server of each connection, given its number.
    pub fn saying(greeting: fn(usize) -> Vec<u8>) -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let servers = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let cut = Arc::new(AtomicBool::new(false));
        let (shared, held, next) = (servers.clone(), cut.clone(), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let servers = shared.lock().unwrap().clone();
                let first = next.fetch_add(1, Ordering::Relaxed);
                let turns = (0..servers.len()).map(|turn| servers[(first + turn) % servers.len()]);
                let connect = |server| TcpStream::connect_timeout(&server, Duration::from_secs(2)).ok();
                let Some(mut server) = turns.into_iter().find_map(connect) else { continue };
                if server.write_all(&greeting(first)).is_ok() {
                    relay(client, server, &held);
                }
            }
        });
        Balancer { address, servers, cut }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds all bytes back, or lets them go on.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Where connections go from now on.
    pub fn serve(&self, servers: &[SocketAddr]) {
        *self.servers.lock().unwrap() = servers.to_vec();
    }
}

fn relay(client: TcpStream, server: TcpStream, cut: &Arc<AtomicBool>) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        let _ = to.set_nodelay(true);
        let cut = cut.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                while cut.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            // One side is gone: so is the connection.
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
