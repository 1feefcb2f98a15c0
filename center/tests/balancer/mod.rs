//! A TCP balancer: each connection goes to the next of its servers that takes it.
#![allow(dead_code)] // each test file uses its own part

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// It lives as long as the test's process.
#[derive(Clone)]
pub struct Balancer {
    address: SocketAddr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// On a free port, without servers: connections are closed at once.
    pub fn start() -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let servers = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let (shared, next) = (servers.clone(), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let servers = shared.lock().unwrap().clone();
                let first = next.fetch_add(1, Ordering::Relaxed);
                let turns = (0..servers.len()).map(|turn| servers[(first + turn) % servers.len()]);
                let connect = |server| TcpStream::connect_timeout(&server, Duration::from_secs(2)).ok();
                let Some(server) = turns.into_iter().find_map(connect) else { continue };
                relay(client, server);
            }
        });
        Balancer { address, servers }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where connections go from now on.
    pub fn serve(&self, servers: &[SocketAddr]) {
        *self.servers.lock().unwrap() = servers.to_vec();
    }
}

fn relay(client: TcpStream, server: TcpStream) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        let _ = to.set_nodelay(true);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
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
