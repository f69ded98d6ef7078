//! Messages that are numbers, in a ring of either form: short to make and to compare, for those who follow every instruction.

use std::time::Duration;

use shm_ringbuf::{Message, RecvError, SendError, multi};

/// What is sent and received before it begins.
pub const EARLIER: u8 = 255;
/// Bytes of a number in a ring of bytes: several cells of 64.
const LEN: usize = 150;

/// A form of message that carries a number below 256.
pub trait Numbered: Message {
    /// Sends one, without waiting.
    ///
    /// # Errors
    /// What the ring said.
    fn put(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError>;

    /// Sends several as a whole, without waiting.
    ///
    /// # Errors
    /// What the ring said.
    fn put_all(tx: &mut multi::Producer<Self>, numbers: [u8; 3]) -> Result<(), SendError>;

    /// Claims room, writes a number there and commits it.
    ///
    /// # Errors
    /// What the ring said.
    fn put_in_place(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError>;

    /// Claims room, writes a number there and gives it up.
    ///
    /// # Errors
    /// What the ring said.
    fn give_up(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError>;

    /// Receives a copy, without waiting.
    ///
    /// # Errors
    /// What the ring said.
    fn get(rx: &mut multi::Consumer<Self>) -> Result<u8, RecvError>;

    /// Receives in place, waiting no longer than this.
    ///
    /// # Errors
    /// What the ring said.
    fn get_ref(
        rx: &mut multi::Consumer<Self>,
        patience: Duration,
    ) -> Result<multi::Received<'_, Self>, RecvError>;

    /// The number of a message, at a glance.
    fn glance(guard: &multi::Received<'_, Self>) -> u8;

    /// The number of a message; `None` if it is not whole.
    fn number(guard: &multi::Received<'_, Self>) -> Option<u8>;
}

impl Numbered for u64 {
    fn put(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        tx.try_send(number.into()).map_err(without_message)
    }

    fn put_all(tx: &mut multi::Producer<Self>, numbers: [u8; 3]) -> Result<(), SendError> {
        tx.try_send_exact(&numbers.map(Self::from))
    }

    fn put_in_place(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        let mut claim = tx.try_claim()?;
        claim.write(number.into());
        claim.commit()
    }

    fn give_up(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        let mut claim = tx.try_claim()?;
        claim.write(number.into());
        drop(claim);
        Ok(())
    }

    fn get(rx: &mut multi::Consumer<Self>) -> Result<u8, RecvError> {
        rx.try_recv().map(|message| message as u8)
    }

    fn get_ref(
        rx: &mut multi::Consumer<Self>,
        patience: Duration,
    ) -> Result<multi::Received<'_, Self>, RecvError> {
        rx.recv_ref_timeout(patience)
    }

    fn glance(guard: &multi::Received<'_, Self>) -> u8 {
        guard.read() as u8
    }

    fn number(guard: &multi::Received<'_, Self>) -> Option<u8> {
        guard.read().try_into().ok()
    }
}

impl Numbered for [u8] {
    fn put(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        tx.try_send(&[number; LEN])
    }

    fn put_all(tx: &mut multi::Producer<Self>, numbers: [u8; 3]) -> Result<(), SendError> {
        tx.try_send_exact(&numbers.map(|number| [number; LEN]))
    }

    fn put_in_place(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        let mut claim = tx.try_claim(LEN)?;
        claim.write_at(0, &[number; LEN]);
        claim.commit(LEN)
    }

    fn give_up(tx: &mut multi::Producer<Self>, number: u8) -> Result<(), SendError> {
        let mut claim = tx.try_claim(LEN)?;
        claim.write_at(0, &[number; LEN]);
        drop(claim);
        Ok(())
    }

    fn get(rx: &mut multi::Consumer<Self>) -> Result<u8, RecvError> {
        let mut buffer = [0; LEN];
        rx.try_recv(&mut buffer)?;
        Ok(buffer[0])
    }

    fn get_ref(
        rx: &mut multi::Consumer<Self>,
        patience: Duration,
    ) -> Result<multi::Received<'_, Self>, RecvError> {
        rx.recv_ref_timeout(patience)
    }

    fn glance(guard: &multi::Received<'_, Self>) -> u8 {
        let mut first = [0];
        guard.copy_to(&mut first);
        first[0]
    }

    fn number(guard: &multi::Received<'_, Self>) -> Option<u8> {
        let message = guard.to_vec();
        let number = *message.first()?;
        (message == [number; LEN]).then_some(number)
    }
}

fn without_message<T>(error: SendError<T>) -> SendError {
    match error {
        SendError::Full(_message) => SendError::Full(()),
        SendError::TimedOut(_message) => SendError::TimedOut(()),
        SendError::Disconnected(_message) => SendError::Disconnected(()),
        SendError::OwnerDied(_message) => SendError::OwnerDied(()),
        SendError::TooLong { len, max } => SendError::TooLong { len, max },
        SendError::Corrupt(corruption) => SendError::Corrupt(corruption),
        _ => unreachable!("there are no others"),
    }
}
