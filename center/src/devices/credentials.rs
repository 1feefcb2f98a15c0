//! Who may connect: the passwords of QUECTHING.md 4.2 against the store, and which CONNACK they get.
//!
//! CONNACK 2 to 5 make a vendor device erase its secret, so they are for what is proven. Trouble of the moment and what we
//! know nothing of close the connection without a word.

use std::time::Duration;

use quecota_core::wire::credential::{Password, PasswordError, Session, VerifyError};
use rand::Rng;
use rand::distr::Alphanumeric;
use rmqtt_codec::v3::{Connect, ConnectAckReason};

use super::new_devices::NewDevices;
use crate::clock::Millis;
use crate::engine::new_secret;
use crate::rules::webhook::WebhookEvent;
use crate::rules::{Admission, DeviceKey, DeviceSecret, NameError, ProductKey, ProductSecret, takeover};
use crate::store::{Device, DeviceId, NewLogEntry, Product, Store, StoreError};

/// What every client id begins with (QUECTHING.md 4.1).
const CLIENT_ID_START: &str = "qd";

/// How a device authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthMethod {
    /// It has no secret and is to get it.
    Bootstrap,
    /// It proved its secret.
    Login,
}

/// A device that may connect.
#[derive(Debug)]
pub(super) struct Admitted {
    pub device: DeviceId,
    pub client_id: String,
    pub secret: DeviceSecret,
    pub auth_method: AuthMethod,
    /// FLAG of its password.
    pub session: Session,
    /// The product's secret of now, if the device proved itself by one of before.
    pub new_product_secret: Option<ProductSecret>,
    /// Its connections are taken over again and again: this one waits so long.
    pub pause: Option<Duration>,
}

impl Admitted {
    /// Keeps of the device what a session needs: it is in memory as long as the connection.
    fn new(
        device: Device,
        secret: DeviceSecret,
        auth_method: AuthMethod,
        session: Session,
        new_product_secret: Option<ProductSecret>,
        now: Millis,
    ) -> Result<Self, AdmissionError> {
        if device.forbidden.is_some() {
            return Err(AdmissionError::Forbidden(device.product, device.key));
        }
        let pause = device.takeovers.are_many(now).then_some(takeover::PAUSE);
        let Device { id, client_id, .. } = device;
        Ok(Self { device: id, client_id, secret, auth_method, session, new_product_secret, pause })
    }
}

/// Why a device may not connect.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdmissionError {
    #[error("no password; a device sends one, with or without a user name")]
    NoPassword,
    #[error("password: {0}")]
    Password(#[from] PasswordError),
    #[error("the password is not text")]
    NotText,
    #[error("unknown product {0:?}; create it, or correct the product key in the device")]
    UnknownProduct(String),
    #[error(
        "no product key begins the client id behind its \"qd\"; create the product, or correct the key in the device"
    )]
    UnknownClientId,
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("the password is of device {0:?}, whose client id is another one")]
    ForeignClientId(String),
    #[error("wrong signature: not made with the secret of product {0}")]
    WrongProductSecret(ProductKey),
    #[error("the secret of product {0} cannot be used: {1}")]
    UnusableSecret(ProductKey, VerifyError),
    #[error("wrong signature: not made with the secrets of device {0} and its product")]
    WrongDeviceSecret(DeviceKey),
    #[error("product {0} knows no such device, so no secret was ever given to it; it is to bootstrap")]
    NeverGivenASecret(ProductKey),
    #[error("product {0} takes known devices only and does not know {1}; enter it first")]
    NotEntered(ProductKey, DeviceKey),
    #[error("device {1} of product {0} is forbidden to connect; `device allow` takes that back")]
    Forbidden(ProductKey, DeviceKey),
    #[error(
        "product {0} has had as many new devices in this minute as it may (--new-devices-per-minute); this one is to try again"
    )]
    TooManyNew(ProductKey),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdmissionError {
    /// The CONNACK code, if the device is to get one.
    pub fn answer(&self) -> Option<ConnectAckReason> {
        match self {
            // Without its secret, which is wrong anyway, the device bootstraps.
            AdmissionError::WrongProductSecret(_)
            | AdmissionError::WrongDeviceSecret(_)
            | AdmissionError::NeverGivenASecret(_) => Some(ConnectAckReason::BadUserNameOrPassword),
            AdmissionError::NotEntered(..) | AdmissionError::Forbidden(..) => {
                Some(ConnectAckReason::NotAuthorized)
            }
            AdmissionError::NoPassword
            | AdmissionError::Password(_)
            | AdmissionError::NotText
            | AdmissionError::UnknownProduct(_)
            | AdmissionError::UnknownClientId
            | AdmissionError::Name(_)
            | AdmissionError::ForeignClientId(_)
            | AdmissionError::UnusableSecret(..)
            | AdmissionError::TooManyNew(_)
            | AdmissionError::Store(_) => None,
        }
    }
}

/// Decides about a CONNECT. The user name is of no meaning.
///
/// # Errors
/// [`AdmissionError`], which knows the answer to give.
pub(super) async fn admit(
    store: &Store,
    new_devices: &NewDevices,
    connect: &Connect,
    now: Millis,
) -> Result<Admitted, AdmissionError> {
    let password = connect.password.as_deref().ok_or(AdmissionError::NoPassword)?;
    let password = std::str::from_utf8(password).map_err(|_| AdmissionError::NotText)?;
    match Password::parse(password)? {
        Password::Bootstrap(bootstrap) => {
            let product = product(store, bootstrap.product_key).await?;
            let secret = store.read().await?.product_secret(&product)?;
            let (key, new_secret) = match bootstrap.open(secret.as_str()) {
                Ok(key) => (DeviceKey::new(key.as_str())?, None),
                Err(VerifyError::Sealed | VerifyError::Signature) => {
                    let replaced = store.read().await?.replaced_secrets(&product.key).await?;
                    let mut taken = replaced.iter().filter(|replaced| now < replaced.bootstrap_until);
                    let key = taken
                        .find_map(|replaced| bootstrap.open(replaced.secret.as_str()).ok())
                        .ok_or_else(|| AdmissionError::WrongProductSecret(product.key.clone()))?;
                    (DeviceKey::new(key.as_str())?, Some(secret))
                }
                Err(error @ VerifyError::ProductSecret { .. }) => {
                    return Err(AdmissionError::UnusableSecret(product.key, error));
                }
            };
            let (device, secret) = enter(store, new_devices, &product, key, &connect.client_id, now).await?;
            Admitted::new(device, secret, AuthMethod::Bootstrap, bootstrap.session, new_secret, now)
        }
        Password::Login(login) => {
            let mut reader = store.read().await?;
            let Some(device) = reader.find_device_by_client_id(&connect.client_id).await? else {
                return Err(unknown_device(&reader.products().await?, &connect.client_id));
            };
            let product = reader.product(&device.product).await?;
            let (ps, ds) = (reader.product_secret(&product)?, reader.device_secret(&device)?);
            let mut new_secret = None;
            if login.verify(ps.as_str(), ds.as_str()).is_err() {
                // Its own secret proves it, whichever of the product's it has.
                let replaced = reader.replaced_secrets(&device.product).await?;
                if !replaced.iter().any(|old| login.verify(old.secret.as_str(), ds.as_str()).is_ok()) {
                    return Err(AdmissionError::WrongDeviceSecret(device.key));
                }
                new_secret = Some(ps);
            }
            Admitted::new(device, ds, AuthMethod::Login, login.session, new_secret, now)
        }
    }
}

async fn product(store: &Store, key: &str) -> Result<Product, AdmissionError> {
    let unknown = || AdmissionError::UnknownProduct(key.to_owned());
    let key = ProductKey::new(key).map_err(|_| unknown())?;
    store.read().await?.find_product(&key).await?.ok_or_else(unknown)
}

/// The device of a bootstrap, made if it is new. It gets the same secret each time.
async fn enter(
    store: &Store,
    new_devices: &NewDevices,
    product: &Product,
    key: DeviceKey,
    client_id: &str,
    now: Millis,
) -> Result<(Device, DeviceSecret), AdmissionError> {
    if client_id != crate::rules::names::client_id(&product.key, &key) {
        return Err(AdmissionError::ForeignClientId(key.to_string()));
    }
    let is_known = store.read().await?.find_device(&product.key, &key).await?.is_some();
    if !is_known
        && product.admission == Admission::Anyone
        && !new_devices.take(store, &product.key, now).await?
    {
        return Err(AdmissionError::TooManyNew(product.key.clone()));
    }
    let mut writer = store.write().await?;
    let known = writer.find_device(&product.key, &key).await?;
    let again = known.is_some();
    if known.is_some_and(|known| known.forbidden.is_some()) {
        return Err(AdmissionError::Forbidden(product.key.clone(), key));
    }
    if !again && product.admission == Admission::KnownOnly {
        return Err(AdmissionError::NotEntered(product.key.clone(), key));
    }
    let device = writer.enter_device(&product.key, &key, &new_secret()?, now).await?;
    let kind = if again { "bootstrap_again" } else { "bootstrap" };
    let entry = NewLogEntry {
        device: device.id,
        upgrade: None,
        component: None,
        kind,
        value: serde_json::Value::Null,
    };
    writer.log(entry, now).await?;
    if !again {
        let data = serde_json::json!({ "product": product.key, "device": device.key });
        writer.announce(WebhookEvent::DeviceCreated, product.key.as_str(), &data, now).await?;
    }
    // The one that it has: a device that bootstraps again gets its old secret.
    let secret = writer.device_secret(&device)?;
    writer.commit().await?;
    Ok((device, secret))
}

/// Why a login of a device that is in no product's list is refused.
fn unknown_device(products: &[Product], client_id: &str) -> AdmissionError {
    let names = client_id.strip_prefix(CLIENT_ID_START).unwrap_or_default();
    // No product key is the beginning of another, so at most one fits.
    match products.iter().find(|product| names.starts_with(product.key.as_str())) {
        Some(product) => AdmissionError::NeverGivenASecret(product.key.clone()),
        None => AdmissionError::UnknownClientId,
    }
}

/// Letters and digits from the system's generator: devices handle secrets and keys as text.
pub(super) fn random_text(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use quecota_core::wire::credential::{Nonce, bootstrap, login};

    use super::*;
    use crate::rules::Title;

    const PK: &str = "p1abcd";
    const PS: &str = "MTIzNDU2Nzg5MGFi";
    const DK: &str = "860000000000001";
    const CLIENT: &str = "qdp1abcd860000000000001";
    const NOW: Millis = Millis(1_700_000_000_000);

    async fn store(admission: Admission) -> Store {
        let store = Store::in_memory().await.unwrap();
        let mut writer = store.write().await.unwrap();
        let (key, secret) = (ProductKey::new(PK).unwrap(), ProductSecret::new(PS).unwrap());
        let name = Title::new("Lamps").unwrap();
        writer.create_product(&key, &secret, &name, admission, NOW).await.unwrap();
        writer.commit().await.unwrap();
        store
    }

    fn connect(client_id: &str, password: &str) -> Connect {
        let password = Some(bytes::Bytes::copy_from_slice(password.as_bytes()));
        Connect { password, ..Connect::default() }.client_id(client_id.to_owned())
    }

    fn any() -> NewDevices {
        NewDevices::limited(100)
    }

    fn nonce() -> Nonce {
        Nonce::of([7; Nonce::LEN])
    }

    async fn bootstrapped(store: &Store, pk: &str, ps: &str) -> Result<Admitted, AdmissionError> {
        let password = bootstrap(pk, ps, DK, nonce(), Session::Plain).unwrap();
        admit(store, &any(), &connect(CLIENT, &password), NOW).await
    }

    async fn logged_in(store: &Store, client: &str, ds: &str) -> Result<Admitted, AdmissionError> {
        let password = login(PS, ds, nonce(), Session::Encrypted).unwrap();
        admit(store, &any(), &connect(client, &password), NOW).await
    }

    fn code(outcome: Result<Admitted, AdmissionError>) -> Option<u8> {
        outcome.unwrap_err().answer().map(u8::from)
    }

    #[tokio::test]
    async fn a_bootstrap_makes_the_device_and_gives_the_same_secret_each_time() {
        let store = store(Admission::Anyone).await;
        let first = bootstrapped(&store, PK, PS).await.unwrap();
        assert_eq!((first.auth_method, first.session), (AuthMethod::Bootstrap, Session::Plain));
        assert_eq!(first.secret.as_str().len(), 32);
        let second = bootstrapped(&store, PK, PS).await.unwrap();
        assert_eq!(second.secret, first.secret);
        let log = store.read().await.unwrap().device_log(first.device, 10).await.unwrap();
        let mut kinds: Vec<_> = log.iter().map(|line| line.kind.as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["bootstrap", "bootstrap_again"]);

        let login = logged_in(&store, CLIENT, first.secret.as_str()).await.unwrap();
        assert_eq!((login.auth_method, login.session), (AuthMethod::Login, Session::Encrypted));
    }

    #[tokio::test]
    async fn only_what_is_proven_wrong_is_refused_by_a_code() {
        let store = store(Admission::Anyone).await;
        bootstrapped(&store, PK, PS).await.unwrap();
        let wrong = "0123456789abcdef0123456789abcdef";
        assert_eq!(code(bootstrapped(&store, PK, "another-product-secret").await), Some(4));
        assert_eq!(code(logged_in(&store, CLIENT, wrong).await), Some(4));
        assert_eq!(code(logged_in(&store, "qdp1abcd999", wrong).await), Some(4), "unknown device");
        assert_eq!(code(logged_in(&store, "qdp2999", wrong).await), None, "unknown product");
        assert_eq!(code(bootstrapped(&store, "p2", PS).await), None, "unknown product");
        for password in ["", "secret", "9;0000;a;b"] {
            assert_eq!(
                code(admit(&store, &any(), &connect(CLIENT, password), NOW).await),
                None,
                "{password}"
            );
        }
        let foreign = bootstrap(PK, PS, "999", nonce(), Session::Plain).unwrap();
        assert_eq!(code(admit(&store, &any(), &connect(CLIENT, &foreign), NOW).await), None);
        assert_eq!(code(admit(&store, &any(), &Connect::default(), NOW).await), None, "no password");
    }

    #[tokio::test]
    async fn a_product_for_known_devices_refuses_others_by_code_5() {
        let store = store(Admission::KnownOnly).await;
        assert_eq!(code(bootstrapped(&store, PK, PS).await), Some(5));
        let mut writer = store.write().await.unwrap();
        let (product, key) = (ProductKey::new(PK).unwrap(), DeviceKey::new(DK).unwrap());
        writer.enter_device(&product, &key, &new_secret().unwrap(), NOW).await.unwrap();
        writer.commit().await.unwrap();
        bootstrapped(&store, PK, PS).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_no_reason_for_a_code() {
        let store = store(Admission::Anyone).await;
        let secret = bootstrapped(&store, PK, PS).await.unwrap().secret;
        store.close().await;
        assert_eq!(code(bootstrapped(&store, PK, PS).await), None);
        assert_eq!(code(logged_in(&store, CLIENT, secret.as_str()).await), None);
    }
}
