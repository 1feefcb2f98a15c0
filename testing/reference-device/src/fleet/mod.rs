//! A fleet: thousands of devices on one thread, over real MQTT and HTTP. What each is and does is drawn from a [`Mix`] by a
//! seed: the same seed makes the same fleet.

mod counts;
mod device;
mod http;
mod link;
pub mod load;
mod mix;
mod random;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Sdk;

pub use counts::{Counts, Progress};
pub use device::Device;
pub use http::Source;
pub use mix::Mix;

/// What all devices share.
pub struct Fleet {
    /// The center's MQTT address.
    pub server: SocketAddr,
    /// PK.
    pub product_key: String,
    /// PS.
    pub product_secret: String,
    /// Number of the first device.
    pub first: u64,
    /// How many there are.
    pub devices: u64,
    /// What they are.
    pub mix: Mix,
    /// From which chances come.
    pub seed: u64,
    /// Seconds.
    pub keep_alive: u16,
    /// Addresses of the loopback, from 127.0.1.1 on, that the devices connect from; none: the system chooses.
    pub addresses: u8,
    /// What happens.
    pub counts: Counts,
}

/// A device in the end, as it knows itself.
#[derive(Debug, Clone)]
pub struct Record {
    /// DK.
    pub key: String,
    /// Which SDK it runs.
    pub sdk: Sdk,
    /// Whether its session was encrypted.
    pub encrypted: bool,
    /// Version of its module.
    pub module: String,
    /// Its MCU components and their versions, `a:1;b:2`.
    pub components: String,
    /// How far it came.
    pub progress: Progress,
    /// Offers that it has had.
    pub offers: u32,
    /// Its last trouble, in words.
    pub trouble: Option<String>,
}

impl Fleet {
    fn address(&self, number: u64) -> Option<IpAddr> {
        let number = number.checked_rem(self.addresses.into())?;
        Some(Ipv4Addr::new(127, 0, 1, u8::try_from(number + 1).ok()?).into())
    }

    /// Key of device number `number`.
    pub fn key(&self, number: u64) -> String {
        format!("86{:013}", self.first + number)
    }

    /// Runs every device until `stop` says so or is gone, and within `within` in any case; what each knows of itself then.
    pub async fn live(self: &Arc<Self>, stop: watch::Receiver<bool>, within: Duration) -> Vec<Record> {
        let deadline = Instant::now() + within;
        let mut devices = JoinSet::new();
        for number in 0..self.devices {
            let mut device = Device::new(self, number);
            let mut stop = stop.clone();
            devices.spawn(async move {
                tokio::select! {
                    () = device.live() => {}
                    // An error: nobody can say so any more.
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = sleep_until(deadline) => {}
                }
                Record {
                    key: device.device.flash.device_key.clone(),
                    sdk: device.device.sdk,
                    encrypted: device.is_encrypted(),
                    module: device.device.flash.module_version.clone(),
                    components: device.device.mcu_list(),
                    progress: device.progress,
                    offers: device.offers,
                    trouble: device.trouble.take(),
                }
            });
        }
        devices.join_all().await
    }
}
