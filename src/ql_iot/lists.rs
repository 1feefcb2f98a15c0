//! TTLV lists as applications hold them: trees in memory of the C allocator, behind handles that are checked.
//!
//! A handle is the address of a list or of a node. Every list is in one registry, and a handle counts only when it is
//! found there: NULL, freed handles and addresses of anything else are refused without being read. A list that was added
//! to another belongs to that one and ends with it.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use quecota_core::limits::TTLV_DEPTH;
use quecota_core::wire::ttlv::{self, ID_MAX, Number, Value, Writer};

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

/// Appends the elements of `parsed`, which is nested no more than [`TTLV_DEPTH`] deep. `false`: no memory for all.
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

/// How many lists are nested in `list` at the deepest place. Bounded, because [`add`] lets nothing grow deeper.
///
/// # Safety
/// `list` is alive.
unsafe fn height(list: *mut List) -> usize {
    let mut highest = 0;
    // SAFETY: the caller's promise.
    unsafe {
        for node in nodes(list) {
            if let Content::Struct(inner) = (*node).content {
                highest = highest.max(height(inner).saturating_add(1));
            }
        }
    }
    highest
}

/// The outermost list, and how many lists are around `list`.
///
/// # Safety
/// `list` is alive.
unsafe fn outermost(list: *mut List) -> (*mut List, usize) {
    let (mut outer, mut depth) = (list, 0usize);
    // SAFETY: an owner lives as long as what it owns.
    unsafe {
        while !(*outer).owner.is_null() {
            outer = (*outer).owner;
            depth = depth.saturating_add(1);
        }
    }
    (outer, depth)
}

/// Why nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddError {
    /// Neither NULL nor a list that may be changed.
    Handle,
    /// Above 8191.
    Id,
    /// Array elements (id 0) and struct members in one list.
    Mixed,
    /// Not a list of its own: it is another's already, or this very one.
    Inner,
    /// Lists in lists in lists.
    TooDeep,
    Memory,
}

/// What is to be added.
#[derive(Debug, Clone, Copy)]
pub enum New<'a> {
    Bool(bool),
    Int(i64),
    Float(Number),
    Bytes(&'a [u8]),
    Raw(&'a [u8]),
    /// Handle of a list, which the other one owns from then on.
    Struct(*const c_void),
}

/// Adds to the list at `head`, which is made when it is NULL. On failure nothing has changed.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn add(head: *mut *mut c_void, id: u16, new: New<'_>) -> Result<(), AddError> {
    if id > ID_MAX {
        return Err(AddError::Id);
    }
    locked(|registry| {
        // SAFETY: the caller's promise; `find` gives lists that are alive.
        unsafe {
            let is_new = (*head).is_null();
            let list = if is_new { null_mut() } else { find(registry, *head).ok_or(AddError::Handle)? };
            if !is_new {
                check_list(list, id)?;
            }
            let content = match new {
                New::Bool(value) => Content::Bool(value),
                New::Int(value) => Content::Number(Number::from(value)),
                New::Float(number) => Content::Float(number),
                New::Bytes(bytes) => Content::Bytes(copied(bytes).ok_or(AddError::Memory)?, bytes.len()),
                New::Raw(bytes) => Content::Raw(copied(bytes).ok_or(AddError::Memory)?, bytes.len()),
                New::Struct(inner) => Content::Struct(check_inner(registry, list, inner)?),
            };
            let target = if is_new { created(registry) } else { list };
            if target.is_null() || !append(target, id, content) {
                if is_new {
                    forget(registry, target);
                }
                if !matches!(content, Content::Struct(_)) {
                    forget_content(registry, content);
                }
                return Err(AddError::Memory);
            }
            *head = target.cast();
            Ok(())
        }
    })
    .unwrap_or(Err(AddError::Handle))
}

/// # Safety
/// `list` is alive.
unsafe fn check_list(list: *mut List, id: u16) -> Result<(), AddError> {
    // SAFETY: the caller's promise.
    unsafe {
        if (*outermost(list).0).is_received {
            return Err(AddError::Handle);
        }
        match (*list).first.as_ref() {
            Some(first) if (first.id == 0) != (id == 0) => Err(AddError::Mixed),
            _ => Ok(()),
        }
    }
}

/// The list of `inner`, if it may be added to `list`, which is alive or NULL.
///
/// # Safety
/// `list` is alive or NULL.
unsafe fn check_inner(
    registry: &mut *mut List,
    list: *mut List,
    inner: *const c_void,
) -> Result<*mut List, AddError> {
    let inner = find(registry, inner).ok_or(AddError::Inner)?;
    // SAFETY: both are alive.
    unsafe {
        let (outer, depth) = if list.is_null() { (null_mut(), 0) } else { outermost(list) };
        if !(*inner).owner.is_null() || (*inner).is_received || inner == outer {
            return Err(AddError::Inner);
        }
        if depth.saturating_add(height(inner)).saturating_add(1) > TTLV_DEPTH {
            return Err(AddError::TooDeep);
        }
    }
    Ok(inner)
}

/// Removes every element with this id. A list that has none left ends, and `*head` is NULL then, unless the list is
/// another's.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn remove(head: *mut *mut c_void, id: u16) {
    locked(|registry| {
        // SAFETY: the caller's promise; `find` gives lists that are alive.
        unsafe {
            let Some(list) = find(registry, *head) else { return };
            if (*outermost(list).0).is_received {
                return;
            }
            let mut link = &raw mut (*list).first;
            (*list).last = null_mut();
            while let Some(node) = (*link).as_mut() {
                if node.id == id {
                    let gone = *link;
                    *link = node.next;
                    forget_content(registry, (*gone).content);
                    free(gone.cast());
                    (*list).count = (*list).count.saturating_sub(1);
                } else {
                    (*list).last = *link;
                    link = &raw mut node.next;
                }
            }
            if (*list).first.is_null() && (*list).owner.is_null() {
                forget(registry, list);
                *head = null_mut();
            }
        }
    });
}

/// Frees the list at `head` and writes NULL there. A list that belongs to another, or lives for an event callback, is
/// only forgotten by the caller.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn release(head: *mut *mut c_void) {
    locked(|registry| {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(list) = registered(*registry, *head)
                && (*list).owner.is_null()
                && !(*list).is_received
            {
                forget(registry, list);
            }
            *head = null_mut();
        }
    });
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
mod tests {
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
            serde_json::from_str(include_str!("../../core/tests/quecthing-vectors.json")).unwrap();
        let mut built = 0;
        for vector in all["ttlv"].as_array().unwrap() {
            let hex = vector["bytes"].as_str().unwrap();
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            let mut list = from_wire(&bytes);
            assert!(!list.is_null(), "{vector}");
            assert_eq!(wire(list), bytes, "{vector}");
            // SAFETY: a place of ours.
            unsafe { release(&mut list) };
            let plain = |value: &serde_json::Value| {
                value.is_boolean() || value.is_i64() || value.is_f64() || value.is_string()
            };
            let items = vector["items"].as_array().unwrap();
            if items.iter().all(|item| item.as_array().is_some_and(|item| item.len() == 2 && plain(&item[1])))
            {
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
}
