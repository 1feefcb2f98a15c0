//! haproxy before two centers, as docs/scale.md has it: PROXY protocol, and `/ready` decides who gets connections.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::{Process, eventually, free_port};

/// One of the centers behind it.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    pub id: &'static str,
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
    /// Where haproxy takes requests for this center alone.
    pub own: SocketAddr,
}

/// The balancer; it ends with this value.
pub struct Haproxy {
    _process: Process,
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
    pub centers: Vec<Behind>,
}

impl Haproxy {
    /// Before centers with these ids, each of which is to listen where [`Haproxy::centers`] says.
    pub fn start(folder: &Path, ids: &[&'static str]) -> Haproxy {
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let centers: Vec<Behind> =
            ids.iter().map(|id| Behind { id, mqtt: address(), http: address(), own: address() }).collect();
        let (mqtt, http) = (address(), address());
        let mut config = "global\n    maxconn 8000\ndefaults\n    mode tcp\n    option redispatch\n    retries 3\n    \
                          timeout connect 5s\n    timeout client 20m\n    timeout server 20m\n    timeout check 2s\n"
            .to_owned();
        // One check decides about both ports of a center.
        config +=
            &format!("listen http\n    bind {http}\n    balance roundrobin\n    option httpchk GET /ready\n");
        for Behind { id, http, .. } in &centers {
            config += &format!(
                "    server {id} {http} send-proxy-v2 check inter 500 fall 2 rise 1 check-send-proxy \
                 on-marked-down shutdown-sessions\n"
            );
        }
        config += &format!("listen mqtt\n    bind {mqtt}\n    balance leastconn\n");
        for Behind { id, mqtt, .. } in &centers {
            config += &format!(
                "    server {id} {mqtt} send-proxy-v2 track http/{id} on-marked-down shutdown-sessions\n"
            );
        }
        for Behind { id, http, own, .. } in &centers {
            config += &format!("listen {id}\n    bind {own}\n    server {id} {http} send-proxy-v2\n");
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let _process = Process::start("/usr/sbin/haproxy", |command| {
            command.args(["-db", "-q", "-f"]).arg(&file);
        });
        Haproxy { _process, mqtt, http, centers }
    }

    /// Waits until it gives work to each of the centers.
    pub fn await_all(&self) {
        for Behind { id, .. } in &self.centers {
            eventually("haproxy has found every center", || {
                let agent: ureq::Agent = ureq::Agent::config_builder().max_idle_connections(0).build().into();
                let mut answer = agent.get(format!("http://{}/ready", self.http)).call().ok()?;
                let said = answer.body_mut().read_to_string().ok()?;
                said.contains(&format!("\"center\":\"{id}\"")).then_some(())
            });
        }
    }
}
