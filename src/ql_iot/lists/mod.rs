//! TTLV lists as applications hold them: trees in memory of the C allocator, behind handles that are checked.
//!
//! A handle is the address of a list or of a node. Every list is in one registry, and a handle counts only when it is
//! found there: NULL, freed handles and addresses of anything else are refused without being read. A list that was added
//! to another belongs to that one and ends with it.

mod edit;

pub use edit::{New, add, release, remove};

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use quecota_core::wire::ttlv::{self, Number, Value, Writer};

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
}

/// What the type of a node is called in `QIot_dpDataType_e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    Bool = 0,
    Int = 1,
    Float = 2,
    Byte = 3,
    Struct = 4,
    Raw = 5,
}

/// What a node holds. Bytes have a NUL behind them.
#[derive(Clone, Copy)]
pub enum Content {
    Bool(bool),
    Number(Number),
    /// A number that is a FLOAT also when it is whole.
    Float(Number),
    Bytes(*const u8, usize),
    Raw(*const u8, usize),
    Struct(*mut List),
}

/// A value with its id.
pub struct Node {
    next: *mut Node,
    id: u16,
    content: Content,
}

impl Node {
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Bool(_) => Kind::Bool,
            Content::Number(number) if number.decimals() == 0 => Kind::Int,
            Content::Number(_) | Content::Float(_) => Kind::Float,
            Content::Bytes(..) => Kind::Byte,
            Content::Raw(..) => Kind::Raw,
            Content::Struct(_) => Kind::Struct,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        if let Content::Bool(value) = self.content { Some(value) } else { None }
    }

    fn number(&self) -> Option<Number> {
        match self.content {
            Content::Number(number) | Content::Float(number) => Some(number),
            _ => None,
        }
    }

    /// `None` also for a number with decimals or beyond 64 bits with sign.
    pub fn int(&self) -> Option<i64> {
        self.number()?.to_i64()
    }

    pub fn float(&self) -> Option<f64> {
        self.number().map(Number::to_f64)
    }

    /// Text, bytes and raw data; the wire does not tell them apart.
    pub fn bytes(&self) -> Option<(*mut u8, u32)> {
        match self.content {
            Content::Bytes(data, length) | Content::Raw(data, length) => {
                Some((data.cast_mut(), u32::try_from(length).ok()?))
            }
            _ => None,
        }
    }

    pub fn text(&self) -> Option<*mut c_char> {
        self.bytes().map(|(data, _)| data.cast())
    }

    pub fn list(&self) -> Option<*mut c_void> {
        if let Content::Struct(list) = self.content { Some(list.cast()) } else { None }
    }
}

/// A struct or an array.
pub struct List {
    /// The next in the registry.
    next: *mut List,
    /// The list that this one was added to.
    owner: *mut List,
    first: *mut Node,
    last: *mut Node,
    count: u32,
    /// Of a list that is not read yet: its bytes on the wire.
    wire: *const u8,
    wire_length: usize,
    /// Frees what reading has made. Set then, so that an application that reads no list links nothing of it.
    end: Option<unsafe fn(*mut List)>,
    /// Lives for an event callback; not the application's to change or free.
    is_received: bool,
}

impl List {
    const fn new() -> Self {
        List {
            next: null_mut(),
            owner: null_mut(),
            first: null_mut(),
            last: null_mut(),
            count: 0,
            wire: core::ptr::null(),
            wire_length: 0,
            end: None,
            is_received: false,
        }
    }
}

struct Registry(UnsafeCell<*mut List>);

// SAFETY: used only by `locked`.
unsafe impl Sync for Registry {}

static REGISTRY: Registry = Registry(UnsafeCell::new(null_mut()));

/// Works on the registry with nobody else in it. `None`: refused, as in a function of the platform table.
#[cfg(any(feature = "host", test))]
fn locked<R>(work: impl FnOnce(&mut *mut List) -> R) -> Option<R> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // What is guarded is whole at every moment at which a panic may come.
    let _held = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: the lock is held.
    Some(work(unsafe { &mut *REGISTRY.0.get() }))
}

/// Works on the registry under the device's lock. Before Ql_iotInit one task alone builds lists, as the headers say.
#[cfg(not(any(feature = "host", test)))]
fn locked<R>(work: impl FnOnce(&mut *mut List) -> R) -> Option<R> {
    let work = || {
        // SAFETY: the device's lock is held, or there is no device yet and one task alone.
        work(unsafe { &mut *REGISTRY.0.get() })
    };
    match super::slot::device() {
        Some(device) => device.enter(|_, _| work()).ok(),
        None => Some(work()),
    }
}

/// A place of the C allocator with `value` in it; NULL when there is none.
fn place<T>(value: T) -> *mut T {
    // SAFETY: malloc's memory is aligned for every type of C, which have the alignment of those here.
    unsafe {
        let place = malloc(size_of::<T>()).cast::<T>();
        if !place.is_null() {
            place.write(value);
        }
        place
    }
}

/// A copy of `bytes` with a NUL behind it.
fn copied(bytes: &[u8]) -> Option<*const u8> {
    // SAFETY: the memory has room for the bytes and the NUL.
    unsafe {
        let place = malloc(bytes.len().checked_add(1)?).cast::<u8>();
        if place.is_null() {
            return None;
        }
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        place.add(bytes.len()).write(0);
        Some(place)
    }
}

fn registered(registry: *mut List, handle: *const c_void) -> Option<*mut List> {
    let mut list = registry;
    while !list.is_null() {
        if core::ptr::addr_eq(list, handle) {
            return Some(list);
        }
        // SAFETY: what is in the registry is alive.
        list = unsafe { (*list).next };
    }
    None
}

/// The list of a handle, read from the wire if it was not yet.
fn find(registry: &mut *mut List, handle: *const c_void) -> Option<*mut List> {
    let list = registered(*registry, handle)?;
    // SAFETY: alive; its wire bytes live as long as it does.
    unsafe {
        if !(*list).wire.is_null() {
            let bytes = core::slice::from_raw_parts((*list).wire, (*list).wire_length);
            (*list).wire = core::ptr::null();
            (*list).end = Some(forget_nodes_of_received);
            if let Ok(parsed) = ttlv::List::parse(bytes) {
                read(registry, list, parsed);
            }
        }
    }
    Some(list)
}

/// # Safety
/// `list` is alive.
unsafe fn nodes(list: *mut List) -> impl Iterator<Item = *mut Node> {
    // SAFETY: the caller's promise; nodes live as long as their list.
    let mut node = unsafe { (*list).first };
    core::iter::from_fn(move || {
        let this = node;
        if this.is_null() {
            return None;
        }
        // SAFETY: as above.
        node = unsafe { (*this).next };
        Some(this)
    })
}

/// Appends `content`; `false`: no memory.
///
/// # Safety
/// `list` is alive, and `content` is not used elsewhere.
unsafe fn append(list: *mut List, id: u16, content: Content) -> bool {
    let node = place(Node { next: null_mut(), id, content });
    if node.is_null() {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe {
        if (*list).last.is_null() {
            (*list).first = node;
        } else {
            (*(*list).last).next = node;
        }
        (*list).last = node;
        (*list).count = (*list).count.saturating_add(1);
        if let Content::Struct(inner) = content {
            (*inner).owner = list;
        }
    }
    true
}

/// A new list in the registry; NULL: no memory.
fn created(registry: &mut *mut List) -> *mut List {
    let list = place(List { next: *registry, ..List::new() });
    if !list.is_null() {
        *registry = list;
    }
    list
}

/// Appends the elements of `parsed`, which is nested no more than `TTLV_DEPTH` deep. `false`: no memory for all.
///
/// # Safety
/// `list` is alive.
unsafe fn read(registry: &mut *mut List, list: *mut List, parsed: ttlv::List<'_>) -> bool {
    for item in parsed {
        let content = match item.value {
            Value::Bool(value) => Some(Content::Bool(value)),
            Value::Number(number) => Some(Content::Number(number)),
            Value::Bytes(bytes) => copied(bytes).map(|data| Content::Bytes(data, bytes.len())),
            Value::List(inner) => {
                let sub = created(registry);
                // SAFETY: `sub` was just made.
                if !sub.is_null() && unsafe { read(registry, sub, inner) } {
                    Some(Content::Struct(sub))
                } else {
                    // SAFETY: nobody else has it.
                    unsafe { forget(registry, sub) };
                    None
                }
            }
        };
        let Some(content) = content else { return false };
        // SAFETY: the caller's promise.
        if !unsafe { append(list, item.id, content) } {
            // SAFETY: it was not appended.
            unsafe { forget_content(registry, content) };
            return false;
        }
    }
    true
}

/// # Safety
/// `content` is in no list.
unsafe fn forget_content(registry: &mut *mut List, content: Content) {
    match content {
        // SAFETY: made by `copied`.
        Content::Bytes(data, _) | Content::Raw(data, _) => unsafe { free(data.cast_mut().cast()) },
        // SAFETY: the caller's promise.
        Content::Struct(list) => unsafe { forget(registry, list) },
        Content::Bool(_) | Content::Number(_) | Content::Float(_) => {}
    }
}

/// # Safety
/// `list` is alive.
unsafe fn forget_nodes(registry: &mut *mut List, list: *mut List) {
    // SAFETY: the caller's promise; the iterator is past a node when that is freed.
    unsafe {
        for node in nodes(list) {
            forget_content(registry, (*node).content);
            free(node.cast());
        }
        (*list).first = null_mut();
        (*list).last = null_mut();
        (*list).count = 0;
    }
}

/// Frees a list with all that is in it; NULL: nothing.
///
/// # Safety
/// `list` is NULL or alive, of `created`, and in no other list.
unsafe fn forget(registry: &mut *mut List, list: *mut List) {
    if list.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        forget_nodes(registry, list);
        unregister(registry, list);
        free(list.cast());
    }
}

/// # Safety
/// `list` is alive.
unsafe fn unregister(registry: &mut *mut List, list: *mut List) {
    let mut link: *mut *mut List = registry;
    // SAFETY: every link is the registry's or a live list's.
    unsafe {
        while !(*link).is_null() {
            if *link == list {
                *link = (*list).next;
                return;
            }
            link = &raw mut (**link).next;
        }
    }
}

/// [`List::end`] of a received list, inside the lock.
unsafe fn forget_nodes_of_received(list: *mut List) {
    // SAFETY: `received` calls it with the lock held and the list alive.
    unsafe { forget_nodes(&mut *REGISTRY.0.get(), list) }
}

/// How many elements the list has; 0 for what is no list.
pub fn count(list: *const c_void) -> u32 {
    locked(|registry| {
        // SAFETY: alive.
        find(registry, list).map_or(0, |list| unsafe { (*list).count })
    })
    .unwrap_or(0)
}

/// What `read` finds in the element at `index`, from 0, with its handle.
pub fn of_index<R>(
    list: *const c_void,
    index: u16,
    read: impl FnOnce(*mut c_void, u16, &Node) -> R,
) -> Option<R> {
    locked(|registry| {
        let list = find(registry, list)?;
        // SAFETY: the list is alive, and so are its nodes.
        unsafe {
            let node = nodes(list).nth(index.into())?;
            Some(read(node.cast(), (*node).id, &*node))
        }
    })?
}

/// What `read` finds in the first element with this id.
pub fn of_id<R>(list: *const c_void, id: u16, read: impl FnOnce(&Node) -> Option<R>) -> Option<R> {
    locked(|registry| {
        let list = find(registry, list)?;
        // SAFETY: the list is alive, and so are its nodes.
        unsafe { nodes(list).find(|node| (**node).id == id).and_then(|node| read(&*node)) }
    })?
}

/// What `read` finds in the node of a handle.
pub fn of_node<R>(node: *const c_void, read: impl FnOnce(&Node) -> Option<R>) -> Option<R> {
    locked(|registry| {
        let mut list = *registry;
        while !list.is_null() {
            // SAFETY: lists of the registry are alive, and so are their nodes.
            unsafe {
                if let Some(found) = nodes(list).find(|found| core::ptr::addr_eq(*found, node)) {
                    return read(&*found);
                }
                list = (*list).next;
            }
        }
        None
    })?
}

/// Writes the list as it goes over the wire; gives its length. `None`: no list, or no room.
pub fn encode(list: *const c_void, out: &mut [u8]) -> Option<usize> {
    locked(|registry| {
        let list = find(registry, list)?;
        let mut writer = Writer::new(out);
        // SAFETY: alive.
        unsafe { write(list, &mut writer) };
        writer.finish().ok()
    })?
}

/// # Safety
/// `list` is alive.
unsafe fn write(list: *mut List, writer: &mut Writer<'_>) {
    // SAFETY: the caller's promise; bytes live as long as their node.
    unsafe {
        for node in nodes(list) {
            let id = (*node).id;
            match (*node).content {
                Content::Bool(value) => writer.bool(id, value),
                Content::Number(number) | Content::Float(number) => writer.number(id, number),
                Content::Bytes(data, length) | Content::Raw(data, length) => {
                    writer.bytes(id, core::slice::from_raw_parts(data, length))
                }
                Content::Struct(inner) => {
                    writer.open(id);
                    write(inner, writer);
                    writer.close()
                }
            };
        }
    }
}

/// A list of its own with what `bytes` say; NULL: they are no TTLV, or there is no memory.
pub fn from_wire(bytes: &[u8]) -> *mut c_void {
    let Ok(parsed) = ttlv::List::parse(bytes) else { return null_mut() };
    locked(|registry| {
        let list = created(registry);
        // SAFETY: it was just made.
        if !list.is_null() && unsafe { !read(registry, list, parsed) } {
            // SAFETY: nobody else has it.
            unsafe { forget(registry, list) };
            return null_mut();
        }
        list.cast()
    })
    .unwrap_or(null_mut())
}

/// Lends a list that came over the wire to `work`. It is read when the application first looks at it.
pub fn lend(bytes: &[u8], work: impl FnOnce(*mut c_void)) {
    let mut list = List { wire: bytes.as_ptr(), wire_length: bytes.len(), is_received: true, ..List::new() };
    let list = &raw mut list;
    let entered = locked(|registry| {
        // SAFETY: it is ours, and leaves the registry below.
        unsafe { (*list).next = *registry };
        *registry = list;
    });
    work(if entered.is_some() { list.cast() } else { null_mut() });
    locked(|registry| {
        // SAFETY: the list is still here.
        unsafe {
            if let Some(end) = (*list).end {
                end(list);
            }
            unregister(registry, list);
        }
    });
}

#[cfg(test)]
mod tests;
