//! Who may connect: the passwords of QUECTHING.md 4.2 against the store, and which CONNACK they get.
//!
//! CONNACK 2 to 5 make a vendor device erase its secret, so they are for what is proven. Trouble of the moment and what we
//! know nothing of close the connection without a word.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
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
use crate::store::{AddedLine, Device, DeviceId, NewLogEntry, Product, Reader, Store, StoreError};

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
    #[error("{0}")]
    OfSet(Arc<StoreError>),
    #[error("not decided within {0:?}")]
    Late(Duration),
    #[error("the decision broke off; it is a fault of the program, please report it")]
    Interrupted,
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
            | AdmissionError::Store(_)
            | AdmissionError::OfSet(_)
            | AdmissionError::Late(_)
            | AdmissionError::Interrupted => None,
        }
    }
}

/// What the password and the rows say.
enum Decision {
    Admitted(Admitted),
    /// A device without a secret, which has proved its product.
    Enter(Bootstrapped),
}

struct Bootstrapped {
    product: Product,
    key: DeviceKey,
    client_id: String,
    session: Session,
    new_product_secret: Option<ProductSecret>,
}

/// Decides about these CONNECTs together: one read for all, and one transaction for those that bootstrap. The user name is of
/// no meaning.
///
/// # Errors
/// The store's: nothing is decided about any of them.
pub(super) async fn admit(
    store: &Store,
    new_devices: &NewDevices,
    connects: &[Connect],
    now: Millis,
) -> Result<Vec<Result<Admitted, AdmissionError>>, StoreError> {
    let mut reader = store.read().await?;
    let clients: Vec<&str> = connects.iter().map(|connect| &*connect.client_id).collect();
    let known = reader.devices_by_client_id(&clients).await?;
    let mut products = HashMap::new();
    let mut decided = Vec::with_capacity(connects.len());
    for connect in connects {
        decided.push(match decide(&mut reader, &mut products, &known, connect, now).await {
            Err(AdmissionError::Store(error)) if error.is_temporary() => return Err(error),
            decision => decision,
        });
    }
    drop(reader);
    for decision in &mut decided {
        if let Ok(Decision::Enter(Bootstrapped { product, client_id, .. })) = &*decision
            && product.admission == Admission::Anyone
            && !known.contains_key(client_id)
            && !new_devices.take(store, &product.key, now).await?
        {
            *decision = Err(AdmissionError::TooManyNew(product.key.clone()));
        }
    }
    enter(store, decided, now).await
}

async fn decide(
    reader: &mut Reader,
    products: &mut HashMap<ProductKey, Product>,
    known: &HashMap<String, Device>,
    connect: &Connect,
    now: Millis,
) -> Result<Decision, AdmissionError> {
    let password = connect.password.as_deref().ok_or(AdmissionError::NoPassword)?;
    let password = std::str::from_utf8(password).map_err(|_| AdmissionError::NotText)?;
    match Password::parse(password)? {
        Password::Bootstrap(bootstrap) => {
            let unknown = || AdmissionError::UnknownProduct(bootstrap.product_key.to_owned());
            let key = ProductKey::new(bootstrap.product_key).map_err(|_| unknown())?;
            let product = product(reader, products, &key).await?.ok_or_else(unknown)?;
            let secret = reader.product_secret(&product)?;
            let (key, new_product_secret) = match bootstrap.open(secret.as_str()) {
                Ok(key) => (DeviceKey::new(key.as_str())?, None),
                Err(VerifyError::Sealed | VerifyError::Signature) => {
                    let replaced = reader.replaced_secrets(&product.key).await?;
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
            let client_id = crate::rules::names::client_id(&product.key, &key);
            if *connect.client_id != client_id {
                return Err(AdmissionError::ForeignClientId(key.to_string()));
            }
            let session = bootstrap.session;
            Ok(Decision::Enter(Bootstrapped { product, key, client_id, session, new_product_secret }))
        }
        Password::Login(login) => {
            let Some(device) = known.get(&*connect.client_id) else {
                return Err(unknown_device(&reader.products().await?, &connect.client_id));
            };
            let product = product(reader, products, &device.product).await?;
            let product = product.ok_or_else(|| StoreError::missing("product", &device.product))?;
            let (ps, ds) = (reader.product_secret(&product)?, reader.device_secret(device)?);
            let mut new_secret = None;
            if login.verify(ps.as_str(), ds.as_str()).is_err() {
                // Its own secret proves it, whichever of the product's it has.
                let replaced = reader.replaced_secrets(&device.product).await?;
                if !replaced.iter().any(|old| login.verify(old.secret.as_str(), ds.as_str()).is_ok()) {
                    return Err(AdmissionError::WrongDeviceSecret(device.key.clone()));
                }
                new_secret = Some(ps);
            }
            let (device, session) = (device.clone(), login.session);
            Admitted::new(device, ds, AuthMethod::Login, session, new_secret, now).map(Decision::Admitted)
        }
    }
}

fn entering(decision: &Result<Decision, AdmissionError>) -> Option<&Bootstrapped> {
    match decision {
        Ok(Decision::Enter(bootstrapped)) => Some(bootstrapped),
        _ => None,
    }
}

/// The product, read once for the set.
async fn product(
    reader: &mut Reader,
    products: &mut HashMap<ProductKey, Product>,
    key: &ProductKey,
) -> Result<Option<Product>, StoreError> {
    if let Some(product) = products.get(key) {
        return Ok(Some(product.clone()));
    }
    let product = reader.find_product(key).await?;
    products.extend(product.clone().map(|product| (key.clone(), product)));
    Ok(product)
}

/// Makes the devices of bootstraps that are new. One that is there gets the same secret each time.
async fn enter(
    store: &Store,
    decided: Vec<Result<Decision, AdmissionError>>,
    now: Millis,
) -> Result<Vec<Result<Admitted, AdmissionError>>, StoreError> {
    let clients: Vec<&str> =
        decided.iter().filter_map(entering).map(|bootstrapped| bootstrapped.client_id.as_str()).collect();
    if clients.is_empty() {
        return Ok(decided.into_iter().map(|decision| admitted(decision, &HashMap::new(), now)).collect());
    }
    let mut writer = store.write().await?;
    let mut devices = writer.devices_by_client_id(&clients).await?;
    let mut new: BTreeMap<&ProductKey, BTreeMap<&DeviceKey, &str>> = BTreeMap::new();
    for Bootstrapped { product, key, client_id, .. } in decided.iter().filter_map(entering) {
        if product.admission == Admission::Anyone && !devices.contains_key(client_id) {
            new.entry(&product.key).or_default().insert(key, client_id);
        }
    }
    for (product, new) in &new {
        let secret = || new_secret().map_err(|error| StoreError::Unusable(error.to_string()));
        let new: Vec<_> =
            new.keys().map(|key| Ok(((*key).clone(), secret()?))).collect::<Result<_, StoreError>>()?;
        writer.import_devices(product, &new, now).await?;
    }
    let line = |device| NewLogEntry {
        device,
        upgrade: None,
        component: None,
        kind: "bootstrap_again",
        value: "null".to_owned(),
    };
    for client in clients.iter().filter_map(|client| devices.get(*client)) {
        if client.forbidden.is_none() {
            writer.log(line(client.id), now).await?;
        }
    }
    if !new.is_empty() {
        devices = writer.devices_by_client_id(&clients).await?;
        let has_webhooks = writer.has_webhooks().await?;
        let mut lines = Vec::new();
        for (product, new) in &new {
            for (key, client) in new {
                let Some(device) = devices.get(*client) else { continue };
                let entry = NewLogEntry { kind: "bootstrap", ..line(device.id) };
                lines.push(AddedLine { entry, at: now, last_at: now, times: 1 });
                if has_webhooks {
                    let data = serde_json::json!({ "product": product, "device": key });
                    writer.announce(WebhookEvent::DeviceCreated, product.as_str(), &data, now).await?;
                }
            }
        }
        writer.add_lines(&lines).await?;
    }
    let mut secrets = HashMap::new();
    for (client, device) in devices {
        let secret = writer.device_secret(&device)?;
        secrets.insert(client, (device, secret));
    }
    writer.commit().await?;
    Ok(decided.into_iter().map(|decision| admitted(decision, &secrets, now)).collect())
}

/// What came of a decision, given the devices that have bootstrapped.
fn admitted(
    decision: Result<Decision, AdmissionError>,
    devices: &HashMap<String, (Device, DeviceSecret)>,
    now: Millis,
) -> Result<Admitted, AdmissionError> {
    match decision? {
        Decision::Admitted(admitted) => Ok(admitted),
        Decision::Enter(Bootstrapped { product, key, client_id, session, new_product_secret }) => {
            let Some((device, secret)) = devices.get(&client_id).cloned() else {
                return Err(AdmissionError::NotEntered(product.key, key));
            };
            Admitted::new(device, secret, AuthMethod::Bootstrap, session, new_product_secret, now)
        }
    }
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

    async fn admit_one(store: &Store, connect: Connect) -> Result<Admitted, AdmissionError> {
        admit(store, &any(), &[connect], NOW).await?.pop().unwrap()
    }

    async fn bootstrapped(store: &Store, pk: &str, ps: &str) -> Result<Admitted, AdmissionError> {
        let password = bootstrap(pk, ps, DK, nonce(), Session::Plain).unwrap();
        admit_one(store, connect(CLIENT, &password)).await
    }

    async fn logged_in(store: &Store, client: &str, ds: &str) -> Result<Admitted, AdmissionError> {
        let password = login(PS, ds, nonce(), Session::Encrypted).unwrap();
        admit_one(store, connect(client, &password)).await
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
            assert_eq!(code(admit_one(&store, connect(CLIENT, password)).await), None, "{password}");
        }
        let foreign = bootstrap(PK, PS, "999", nonce(), Session::Plain).unwrap();
        assert_eq!(code(admit_one(&store, connect(CLIENT, &foreign)).await), None);
        assert_eq!(code(admit_one(&store, Connect::default()).await), None, "no password");
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

    #[tokio::test]
    async fn a_set_is_decided_by_few_statements_and_each_of_it_for_itself() {
        let store = store(Admission::Anyone).await;
        let key = |number: usize| format!("86{number:013}");
        let mut connects: Vec<_> = (0..200)
            .map(|number| {
                let password = bootstrap(PK, PS, &key(number), nonce(), Session::Plain).unwrap();
                connect(&format!("qd{PK}{}", key(number)), &password)
            })
            .collect();
        connects.insert(100, connect(CLIENT, "no password of ours"));
        connects.insert(101, connects[7].clone());
        let before = store.statements();
        let places = NewDevices::limited(20_000);
        let decided = admit(&store, &places, &connects, NOW).await.unwrap();
        let took = store.statements() - before;
        assert!(took <= 10, "{took} statements");
        for (number, decided) in decided.iter().enumerate() {
            assert_eq!(decided.is_ok(), number != 100, "{number}: {decided:?}");
        }
        let secret = |at: usize| decided[at].as_ref().unwrap().secret.clone();
        assert_eq!(secret(7), secret(101));
        let login = |number: usize| {
            let password = login(PS, secret(number).as_str(), nonce(), Session::Plain).unwrap();
            connect(&format!("qd{PK}{}", key(number)), &password)
        };
        let logins: Vec<_> = (0..100).map(login).collect();
        let before = store.statements();
        assert!(admit(&store, &any(), &logins, NOW).await.unwrap().iter().all(Result::is_ok));
        assert_eq!(store.statements() - before, 2, "the devices and their product");
    }
}
