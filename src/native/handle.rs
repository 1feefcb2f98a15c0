//! The handle of a device as C sees it.

/// A device: opaque, in memory of the caller. Every function refuses NULL and memory that holds no live device.
#[derive(Debug)]
pub struct quecota_t {
    _opaque: [u8; 0],
}
