//! Tagged values: any bytes are read as a list.

use quecota_core::wire::ttlv::{List, Value, Writer};

/// A list that is read is written as an equal one; an error lies within the bytes.
pub fn run(input: &[u8]) {
    let list = match List::parse(input) {
        Ok(list) => list,
        Err(error) => return assert!(usize::from(error.offset) <= input.len(), "{error}"),
    };
    assert_eq!(list.iter().count(), list.len());
    for item in list {
        assert!(list.find(item.id).is_some());
        let _ = (list.text(item.id), list.number(item.id), list.bool(item.id), list.list(item.id));
    }
    let mut out = vec![0; 2 * input.len() + 64];
    let mut writer = Writer::new(&mut out);
    write(&mut writer, list);
    let length = writer.finish().expect("what was read can be written");
    assert!(length <= input.len(), "no form is shorter than ours");
    assert_eq!(List::parse(&out[..length]), Ok(list));
}

/// As deep as the parser lets it be.
fn write(writer: &mut Writer<'_>, list: List<'_>) {
    for item in list {
        match item.value {
            Value::Bool(value) => _ = writer.bool(item.id, value),
            Value::Number(value) => {
                let printed = value.to_string().parse();
                assert_eq!(printed, Ok(value), "a number is read as it is printed");
                writer.number(item.id, value);
            }
            Value::Bytes(value) => _ = writer.bytes(item.id, value),
            Value::List(value) => {
                writer.open(item.id);
                write(writer, value);
                writer.close();
            }
        }
    }
}
