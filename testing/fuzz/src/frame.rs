//! The envelope: any bytes are read as a frame.

use quecota_core::wire::frame::Frame;

/// A frame that is read is read again from what is written of it; bytes that are none stay as they are.
pub fn run(input: &[u8]) {
    let mut raw = input.to_vec();
    match Frame::parse(&mut raw) {
        Ok(frame) => {
            let mut written = vec![0; 2 * input.len() + 16];
            let length = frame.emit(&mut written).expect("room for every byte to be stuffed");
            assert_eq!(Frame::parse(&mut written[..length]), Ok(frame));
            let refused = frame.emit(&mut vec![0; length - 1]).expect_err("one byte too few");
            assert!(refused.needed <= length && refused.needed > refused.room, "{refused}");
        }
        Err(_) => assert_eq!(raw, input, "an error leaves the bytes as they were"),
    }
}
