//! Where messages go: client ids and MQTT topics (QUECTHING.md 4.1).
//!
//! ```text
//! q/1/d/<client id>/<leaf>[/<peer>]   to the device
//! q/2/d/<client id>/<leaf>[/<peer>]   from the device
//! ```

use crate::{
    limits,
    text::{Text, TooLong},
};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Down,
    /// From the device.
    Up,
}

impl Direction {
    const fn prefix(self) -> &'static str {
        match self {
            Direction::Down => "q/1/d/",
            Direction::Up => "q/2/d/",
        }
    }
}

/// Last level of a topic: the family of its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// Status, info, notices.
    Sys,
    /// Business data.
    Bus,
    /// Upgrades.
    Ota,
}

impl Leaf {
    /// As it stands in a topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Leaf::Sys => "sys",
            Leaf::Bus => "bus",
            Leaf::Ota => "ota",
        }
    }
}

/// `qd`, product key, device key: who is at the other end.
pub fn client_id(product_key: &str, device_key: &str) -> Result<Text<{ limits::CLIENT_ID }>, TooLong> {
    joined(&["qd", product_key, device_key])
}

/// What a device subscribes to.
pub fn down_filter(client_id: &str) -> Result<Text<{ limits::TOPIC }>, TooLong> {
    joined(&[Direction::Down.prefix(), client_id, "/+"])
}

/// What the topics of a device begin with where it publishes.
pub fn up_prefix(client_id: &str) -> Result<Text<{ limits::TOPIC }>, TooLong> {
    joined(&[Direction::Up.prefix(), client_id, "/"])
}

/// Where a device publishes.
pub fn uplink(client_id: &str, leaf: Leaf) -> Result<Text<{ limits::TOPIC }>, TooLong> {
    joined(&[Direction::Up.prefix(), client_id, "/", leaf.as_str()])
}

/// Where the platform publishes; devices do not check the leaf.
pub fn downlink(client_id: &str, leaf: Leaf) -> Result<Text<{ limits::TOPIC }>, TooLong> {
    joined(&[Direction::Down.prefix(), client_id, "/", leaf.as_str()])
}

fn joined<const N: usize>(parts: &[&str]) -> Result<Text<N>, TooLong> {
    let mut text = Text::new();
    text.push_all(parts)?;
    Ok(text)
}

/// A topic taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic<'a> {
    /// Which way.
    pub direction: Direction,
    /// The device's client id.
    pub client_id: &'a str,
    /// Last level; `None` for one that has no name here, which devices accept.
    pub leaf: Option<Leaf>,
    /// Who else takes part, an end user's application; answers go to the same.
    pub peer: Option<&'a str>,
}

/// Not a topic of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic is q/1/d/<client id>/<leaf> or q/2/d/<client id>/<leaf>, with /<peer> behind it at most")]
pub struct TopicError;

impl<'a> Topic<'a> {
    /// Takes a topic apart.
    pub fn parse(topic: &'a str) -> Result<Topic<'a>, TopicError> {
        let (direction, levels) = [Direction::Down, Direction::Up]
            .into_iter()
            .find_map(|direction| Some((direction, topic.strip_prefix(direction.prefix())?)))
            .ok_or(TopicError)?;
        let mut levels = super::parts(levels, b'/');
        let client_id = levels.next().unwrap_or_default();
        let leaf = levels.next().unwrap_or_default();
        let peer = levels.next();
        if client_id.is_empty() || leaf.is_empty() || peer == Some("") || levels.next().is_some() {
            return Err(TopicError);
        }
        let leaf = [Leaf::Sys, Leaf::Bus, Leaf::Ota].into_iter().find(|known| known.as_str() == leaf);
        Ok(Topic { direction, client_id, leaf, peer })
    }

    /// Where the answer of a message on this topic goes.
    pub fn answer(&self, leaf: Leaf) -> Result<Text<{ limits::TOPIC }>, TooLong> {
        let back = match self.direction {
            Direction::Down => Direction::Up,
            Direction::Up => Direction::Down,
        };
        let mut text = joined(&[back.prefix(), self.client_id, "/", leaf.as_str()])?;
        if let Some(peer) = self.peer {
            text.push_all(&["/", peer])?;
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_those_of_the_protocol() {
        let id = client_id("p1abcd", "860000000000001").unwrap();
        assert_eq!(&*id, "qdp1abcd860000000000001");
        assert_eq!(&*down_filter(&id).unwrap(), "q/1/d/qdp1abcd860000000000001/+");
        assert_eq!(&*uplink(&id, Leaf::Ota).unwrap(), "q/2/d/qdp1abcd860000000000001/ota");
        assert_eq!(&*downlink(&id, Leaf::Sys).unwrap(), "q/1/d/qdp1abcd860000000000001/sys");
    }

    #[test]
    fn every_topic_is_parsed_as_made() {
        for leaf in [Leaf::Sys, Leaf::Bus, Leaf::Ota] {
            let topic = uplink("qdab", leaf).unwrap();
            let (direction, leaf) = (Direction::Up, Some(leaf));
            assert_eq!(Topic::parse(&topic), Ok(Topic { direction, client_id: "qdab", leaf, peer: None }));
        }
    }

    #[test]
    fn an_answer_goes_back_to_the_peer() {
        let topic = Topic::parse("q/1/d/qdab/x/app7").unwrap();
        assert_eq!((topic.leaf, topic.peer), (None, Some("app7")));
        assert_eq!(&*topic.answer(Leaf::Bus).unwrap(), "q/2/d/qdab/bus/app7");
    }

    #[test]
    fn other_topics_are_refused() {
        for topic in
            ["", "q/3/d/qdab/sys", "q/1/d//sys", "q/1/d/qdab", "q/1/d/qdab/", "q/1/d/a/sys/b/c", "q/1/d/a/s/"]
        {
            assert_eq!(Topic::parse(topic), Err(TopicError), "{topic}");
        }
    }

    #[test]
    fn the_longest_client_id_fits_everywhere() {
        let id = client_id(&"p".repeat(32), &"d".repeat(32)).unwrap();
        assert!(uplink(&id, Leaf::Ota).is_ok());
        assert_eq!(client_id(&"p".repeat(32), &"d".repeat(33)), Err(TooLong::of(67, 66)));
    }
}
