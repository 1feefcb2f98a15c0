//! A bound on the devices that a product takes for the first time in one minute: whoever has its secret can make up any
//! number of them. It holds for all centers of the database; each takes places by the handful.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::rules::ProductKey;
use crate::store::{Result, Store};

/// Without an option: more than a production line makes, fewer than fill a disk overnight.
pub const NEW_DEVICES: u32 = 20_000;
/// A handful is so much of the bound.
const HANDFULS: i64 = 20;
/// Products that are remembered; those of earlier minutes are forgotten beyond that.
const PRODUCTS: usize = 10_000;

/// The places of this minute.
#[derive(Debug)]
pub(super) struct NewDevices {
    per_minute: i64,
    places: Mutex<HashMap<ProductKey, Places>>,
}

#[derive(Debug, Clone, Copy)]
struct Places {
    minute: i64,
    /// Places that this center still has.
    left: i64,
    /// There are no more in this minute.
    exhausted: bool,
}

/// What this center knows about a product's places.
enum Known {
    Taken,
    Exhausted,
    /// The store has to be asked.
    Nothing,
}

impl NewDevices {
    pub(super) fn limited(per_minute: u32) -> Self {
        Self { per_minute: i64::from(per_minute), places: Mutex::default() }
    }

    /// Takes a place for one new device; says whether there was one.
    pub(super) async fn take(&self, store: &Store, product: &ProductKey, now: Millis) -> Result<bool> {
        let minute = now.0.div_euclid(60_000);
        match self.known(product, minute) {
            Known::Taken => return Ok(true),
            Known::Exhausted => return Ok(false),
            Known::Nothing => {}
        }
        let handful = (self.per_minute / HANDFULS).max(1);
        let mut writer = store.write().await?;
        let given = writer.take_new_devices(product, minute, handful, self.per_minute).await?;
        writer.commit().await?;
        let mut all = self.lock();
        if all.len() >= PRODUCTS {
            all.retain(|_, places| places.minute == minute);
        }
        let fresh = Places { minute, left: 0, exhausted: false };
        // Another connection may have taken a handful meanwhile.
        let places = all.entry(product.clone()).or_insert(fresh);
        if places.minute != minute {
            *places = fresh;
        }
        places.exhausted |= given < handful;
        places.left += (given - 1).max(0);
        Ok(given > 0)
    }

    fn known(&self, product: &ProductKey, minute: i64) -> Known {
        let mut all = self.lock();
        let Some(places) = all.get_mut(product).filter(|places| places.minute == minute) else {
            return Known::Nothing;
        };
        if places.left > 0 {
            places.left -= 1;
            return Known::Taken;
        }
        if places.exhausted { Known::Exhausted } else { Known::Nothing }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProductKey, Places>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Admission, ProductSecret, Title};

    #[tokio::test]
    async fn two_centers_take_no_more_than_the_bound_in_a_minute() {
        let store = Store::in_memory().await.unwrap();
        let products = ["p1", "r2"].map(|key| ProductKey::new(key).unwrap());
        for product in &products {
            let mut writer = store.write().await.unwrap();
            let (secret, name) =
                (ProductSecret::new("MTIzNDU2Nzg5MGFi").unwrap(), Title::new("Lamps").unwrap());
            writer.create_product(product, &secret, &name, Admission::Anyone, Millis(0)).await.unwrap();
            writer.commit().await.unwrap();
        }
        for bound in [1, 7, 100] {
            let centers = [NewDevices::limited(bound), NewDevices::limited(bound)];
            for minute in 0..3 {
                let now = Millis::minutes(i64::from(bound) * 10 + minute);
                for product in &products {
                    let mut taken = 0;
                    for number in 0..400 {
                        if centers[number % 2].take(&store, product, now).await.unwrap() {
                            taken += 1;
                        }
                    }
                    assert_eq!(taken, bound, "{product} in minute {minute}");
                }
            }
        }
    }
}
