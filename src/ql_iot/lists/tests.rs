use quecota_core::limits::TTLV_DEPTH;
use quecota_core::wire::ttlv::ID_MAX;

use super::edit::AddError;
use super::*;

fn wire(list: *const c_void) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let length = encode(list, &mut out).unwrap();
    out.truncate(length);
    out
}

fn added(list: &mut *mut c_void, id: u16, value: &serde_json::Value) {
    use serde_json::Value as Json;
    let mut inner = null_mut();
    let mut add = |new: New<'_>| {
        // SAFETY: a place of ours.
        unsafe { add(list, id, new) }.unwrap();
    };
    match value {
        Json::Bool(value) => add(New::Bool(*value)),
        Json::Number(number) if number.is_i64() => add(New::Int(number.as_i64().unwrap())),
        Json::Number(number) => add(New::Float(Number::from_f64(number.as_f64().unwrap()).unwrap())),
        Json::String(text) => add(New::Bytes(text.as_bytes())),
        Json::Array(items)
            if items.iter().all(|item| item.as_array().is_some_and(|item| item.len() == 2)) =>
        {
            for item in items {
                added(&mut inner, item[0].as_u64().unwrap() as u16, &item[1]);
            }
            add(New::Struct(inner));
        }
        _ => panic!("{value}"),
    }
}

#[test]
fn every_vector_is_read_and_written() {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../../core/tests/quecthing-vectors.json")).unwrap();
    let mut built = 0;
    for vector in all["ttlv"].as_array().unwrap() {
        let hex = vector["bytes"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let mut list = from_wire(&bytes);
        assert!(!list.is_null(), "{vector}");
        assert_eq!(wire(list), bytes, "{vector}");
        // SAFETY: a place of ours.
        unsafe { release(&mut list) };
        let plain = |value: &serde_json::Value| {
            value.is_boolean() || value.is_i64() || value.is_f64() || value.is_string()
        };
        let items = vector["items"].as_array().unwrap();
        if items.iter().all(|item| item.as_array().is_some_and(|item| item.len() == 2 && plain(&item[1]))) {
            for item in items {
                added(&mut list, item[0].as_u64().unwrap() as u16, &item[1]);
            }
            assert_eq!(wire(list), bytes, "{vector}");
            built += 1;
            // SAFETY: a place of ours.
            unsafe { release(&mut list) };
        }
    }
    assert!(built > 3, "only {built} vectors were built");
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A list with random values, and the same by the codec's writer.
fn random_list(random: &mut Random, depth: usize, writer: &mut Writer<'_>) -> *mut c_void {
    let mut list = null_mut();
    let is_array = random.below(4) == 0;
    for index in 0..=random.below(5) as u16 {
        let id = if is_array { 0 } else { 1 + (index * 1637 + random.below(1637) as u16) % ID_MAX };
        let mut inner = null_mut();
        let bytes: Vec<u8> = (0..random.below(9)).map(|_| random.below(256) as u8).collect();
        let number = random.below(u64::MAX) as i64;
        let new = match random.below(if depth < TTLV_DEPTH { 6 } else { 5 }) {
            0 => {
                writer.bool(id, number > 0);
                New::Bool(number > 0)
            }
            1 => {
                writer.number(id, number);
                New::Int(number)
            }
            2 => {
                let float = Number::from_f64((number % 1_000_000) as f64 / 1000.0).unwrap();
                writer.number(id, float);
                New::Float(float)
            }
            3 => {
                writer.bytes(id, &bytes);
                New::Bytes(&bytes)
            }
            4 => {
                writer.bytes(id, &bytes);
                New::Raw(&bytes)
            }
            _ => {
                writer.open(id);
                inner = random_list(random, depth + 1, writer);
                writer.close();
                New::Struct(inner)
            }
        };
        // SAFETY: a place of ours.
        let added = unsafe { add(&mut list, id, new) };
        assert_eq!(added, Ok(()), "{new:?} at depth {depth}");
        if !inner.is_null() {
            // SAFETY: a place of ours; the list belongs to the other and stays.
            unsafe { release(&mut inner) };
        }
    }
    list
}

#[test]
fn random_trees_go_over_the_wire_and_back_and_none_is_left() {
    let mut random = Random(0x5EED);
    for round in 0..2000 {
        let mut expected = vec![0; 1 << 16];
        let mut writer = Writer::new(&mut expected);
        let mut list = random_list(&mut random, 0, &mut writer);
        let length = writer.finish().unwrap();
        let mut bytes = vec![0; 1 << 16];
        let written = encode(list, &mut bytes).unwrap();
        assert_eq!(bytes[..written], expected[..length], "round {round}");
        let mut back = from_wire(&bytes[..written]);
        assert_eq!(wire_of(back, written), bytes[..written], "round {round}");
        assert_eq!(count(back), count(list));
        let dead = [list, back];
        // SAFETY: places of ours.
        unsafe {
            release(&mut list);
            release(&mut back);
        }
        assert!(dead.iter().all(|list| count(*list) == 0));
    }
}

fn wire_of(list: *const c_void, room: usize) -> Vec<u8> {
    let mut out = vec![0; room];
    assert_eq!(encode(list, &mut out), Some(room));
    out
}

#[test]
fn a_lent_list_is_read_only_and_gone_afterwards() {
    let bytes = [0, 0x22, 0, 7, 0, 0x34, 0, 1, 0, 2, 0, 1];
    let mut kept = [null_mut(), null_mut()];
    lend(&bytes, |mut list| {
        let inner = of_id(list, 6, |node| node.list()).unwrap();
        kept = [list, inner];
        assert_eq!(of_id(list, 4, |node| node.int()), Some(7));
        let mut place = inner;
        // SAFETY: places of ours.
        unsafe {
            assert_eq!(add(&mut list, 9, New::Bool(true)), Err(AddError::Handle));
            assert_eq!(add(&mut place, 0, New::Bool(true)), Err(AddError::Handle));
            remove(&mut list, 4);
        }
        assert_eq!(count(list), 2);
    });
    assert_eq!(kept.map(|list| count(list)), [0, 0]);
}
