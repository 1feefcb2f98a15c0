//! Secrets and the keys that seal them.

use super::*;

contract! {
    secrets_are_opened_by_their_key_alone
    what_stood_in_the_clear_is_sealed
    a_new_key_takes_over_from_the_one_before
    a_replaced_secret_stays_known_and_is_sealed_anew
}

async fn secrets_are_opened_by_their_key_alone(bench: &Bench) {
    let product = sealed_scene(bench).await;
    let opened = open_with(bench, bench.keys.clone()).await.unwrap();
    assert_eq!(opened, ("MTIzNDU2Nzg5MGFi".to_owned(), "secretd1199".to_owned()));
    assert!(!format!("{product:?}").contains("MTIzNDU2Nzg5MGFi"));
    let other = Keyring::made();
    let error = open_with(bench, other.clone()).await.unwrap_err().to_string();
    assert!(error.contains(bench.keys.current()) && error.contains(other.current()), "{error}");

    // A secret that was moved to another device does not open there.
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    let moved = "UPDATE devices SET secret = (SELECT secret FROM devices WHERE dk = 'd1') WHERE dk = 'd1199'";
    connection.execute(moved).await.unwrap();
    connection.close().await.unwrap();
    let error = open_with(bench, bench.keys.clone()).await.unwrap_err().to_string();
    assert!(error.contains("device d1199 of product p1abcd"), "{error}");
}

async fn what_stood_in_the_clear_is_sealed(bench: &Bench) {
    sealed_scene(bench).await;
    assert_eq!(bench.store.seal_all().await.unwrap(), Resealed::default(), "nothing to do");
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    connection.execute("UPDATE devices SET secret = 'plain' || dk, seal = ''").await.unwrap();
    connection.execute("UPDATE products SET secret = 'MTIzNDU2Nzg5MGFi', seal = ''").await.unwrap();
    connection.close().await.unwrap();
    let opened = open_with(bench, bench.keys.clone()).await.unwrap();
    assert_eq!(opened.1, "plaind1199", "a database of before can be read");
    assert_eq!(bench.store.seal_all().await.unwrap(), Resealed { plain: 1_201, former: 0 });
    assert_eq!(open_with(bench, bench.keys.clone()).await.unwrap(), opened);
    assert!(open_with(bench, Keyring::made()).await.is_err());
}

async fn a_new_key_takes_over_from_the_one_before(bench: &Bench) {
    sealed_scene(bench).await;
    let renewed = bench.keys.renewed();
    let opened = open_with(bench, renewed.clone()).await.unwrap();
    let store = Store::connect(&bench.url, renewed.clone()).await.unwrap();
    assert_eq!(store.seal_all().await.unwrap(), Resealed { plain: 0, former: 1_201 });
    store.close().await;
    assert_eq!(open_with(bench, renewed.without_former()).await.unwrap(), opened);
    assert!(open_with(bench, bench.keys.clone()).await.is_err(), "the key of before opens nothing any more");
}

async fn a_replaced_secret_stays_known_and_is_sealed_anew(bench: &Bench) {
    sealed_scene(bench).await;
    let (one, two) = ("MTIzNDU2Nzg5MGFi", "YWJjZGVmZ2hpamts");
    let mut writer = bench.store.write().await.unwrap();
    let secret = ProductSecret::new(two).unwrap();
    writer.rotate_secret(&pk("p1abcd"), &secret, NOW, NOW).await.unwrap();
    let again = writer.rotate_secret(&pk("p1abcd"), &secret, NOW, NOW).await.unwrap_err().to_string();
    assert!(again.contains("is this one already"), "{again}");
    writer.commit().await.unwrap();

    let renewed = bench.keys.renewed();
    let store = Store::connect(&bench.url, renewed.clone()).await.unwrap();
    assert_eq!(store.seal_all().await.unwrap(), Resealed { plain: 0, former: 1_202 });
    store.close().await;
    let store = Store::connect(&bench.url, renewed.without_former()).await.unwrap();
    let mut reader = store.read().await.unwrap();
    let product = reader.product(&pk("p1abcd")).await.unwrap();
    let replaced = reader.replaced_secrets(&pk("p1abcd")).await.unwrap();
    assert_eq!(reader.product_secret(&product).unwrap().as_str(), two);
    let replaced: Vec<_> = replaced.iter().map(|old| (old.secret.as_str(), old.bootstrap_until)).collect();
    assert_eq!(replaced, [(one, NOW)]);
    drop(reader);
    store.close().await;
}

#[tokio::test]
async fn no_secret_stands_in_the_file_of_the_database() {
    let bench = Bench::sqlite().await;
    sealed_scene(&bench).await;
    let file = bench.url.strip_prefix("sqlite://").unwrap().to_owned();
    let shows = |secret: &str| {
        ["", "-wal"].iter().any(|end| {
            let bytes = std::fs::read(format!("{file}{end}")).unwrap_or_default();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    assert!(shows("qdp1abcdd7"), "what is no secret is found");
    assert!(!shows("secretd7") && !shows("MTIzNDU2Nzg5MGFi"));

    // A database of an older version: in the clear, until the next start.
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    connection.execute("UPDATE devices SET secret = 'plain' || dk, seal = ''").await.unwrap();
    connection.close().await.unwrap();
    assert!(shows("plaind7"));
    bench.store.seal_all().await.unwrap();
    assert!(!shows("plaind7"), "nor in what the file keeps of overwritten rows");
}

/// A product and 1 200 devices, which is more than one batch.
async fn sealed_scene(bench: &Bench) -> Product {
    let mut writer = bench.store.write().await.unwrap();
    let product = product(&mut writer, "p1abcd").await.unwrap();
    for number in 0..1_200 {
        device(&mut writer, &format!("d{number}")).await;
    }
    writer.commit().await.unwrap();
    product
}

/// Whether both kinds of secrets open with these keys.
async fn open_with(bench: &Bench, keys: Keyring) -> Result<(String, String)> {
    let store = Store::connect(&bench.url, keys).await?;
    let mut reader = store.read().await?;
    let product = reader.product(&pk("p1abcd")).await?;
    let device = reader.device(&pk("p1abcd"), &dk("d1199")).await?;
    let secrets = (reader.product_secret(&product)?, reader.device_secret(&device)?);
    drop(reader);
    store.close().await;
    Ok((secrets.0.as_str().to_owned(), secrets.1.as_str().to_owned()))
}
