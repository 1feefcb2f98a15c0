//! The devices' link against a device that was written from the protocol's facts alone (see `field_device`).

mod field_device;

#[test]
fn the_field_device_speaks_as_the_worked_examples_of_the_protocol() {
    use field_device::frame::Frame;
    use field_device::ttlv::{Value, emit, number, parse, text};
    use field_device::{SessionEncryption, credential};

    let frames = [
        (
            3,
            0x0115,
            emit(&[(25, text("FWV1")), (26, text("MCU:1"))]),
            "aaaa001634000301150 0cb00044657563100d300054d43553a31",
        ),
        (
            2,
            0x0111,
            emit(&[
                (4, text("MCU")),
                (5, text("1")),
                (6, text("2")),
                (7, number(1)),
                (8, number(30)),
                (9, number(698_000)),
                (10, number(-113)),
            ]),
            "aaaa00284c00020111002300034d4355002b0001310033000132003a00010042001e004a020aa69000528071",
        ),
        (3, 0x0024, vec![0xAA, 0xAA, 0x55], "aaaa0008d000030024aa55aa5555"),
        (2, 0x0024, vec![0x01, 0xAA], "aaaa0007d10002002401aa55"),
        (0xAAAA, 0x0024, vec![0], "aaaa000678aa55aa002400"),
    ];
    for (packet, command, payload, bytes) in frames {
        let frame = Frame { packet, command, payload };
        let bytes = hex::decode(bytes.replace(' ', "")).unwrap();
        assert_eq!(hex::encode(frame.emit()), hex::encode(&bytes));
        assert_eq!(Frame::parse(&bytes).unwrap(), frame);
    }
    let decimals = Value::Number { negative: true, decimals: 2, magnitude: 5 };
    let array = Value::List(vec![(0, number(1)), (0, number(2))]);
    let items = vec![(2, decimals), (5, array), (7, Value::Bool(true))];
    assert_eq!(hex::encode(emit(&items)), "0012900 5002c0002000200010002000200 39".replace(' ', ""));
    assert_eq!(parse(&emit(&items)).unwrap(), items);

    let (ps, random) = ("MTIzNDU2Nzg5MGFi", "A1b2C3d4E5f6G7h8");
    assert_eq!(
        credential::bootstrap(SessionEncryption::Off, "p1abcd", ps, "860000000000001", random),
        "0;0000;p1abcd;mU/x+XxOzNBV3x0t/V17K4VWm6+fi8ams4MG/fFNjQ7Fd5CHyxeCCKc2q1k9JIdR3Gmp9K0Re0+SJXzlRwF3/KaXjLytAyT76T+YCfMfKPQ="
    );
    let secret = "0123456789abcdef0123456789abcdef";
    assert_eq!(
        credential::login(SessionEncryption::Off, secret, ps, random),
        "1;0000;A1b2C3d4E5f6G7h8;aEiJfjC5QeZIK/eacO58kJt67XjodmUnnYKi13cnN6g="
    );
    let frame = hex::decode("aaaa00051500010114").unwrap();
    let sealed = credential::encrypt_with(*b"0123456789abcdef", *b"fedcba9876543210", &frame);
    assert_eq!(hex::encode(sealed), "4e05b9e8647802c126a6089de75cc33e");
    let sealed = credential::encrypt("0123456789abcdef", &frame);
    assert_eq!(credential::decrypt("0123456789abcdef", &sealed).unwrap(), frame);
}
