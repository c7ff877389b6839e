namespace MicroVm.Virtio.Queue;

/// <summary>Why a queue cannot be used, or not any more. Each is the guest's doing; the device then needs a reset and the rest of the machine goes on.</summary>
public enum QueueFault : byte
{
    /// <summary>Nothing is wrong.</summary>
    None,
    /// <summary>The size is 0, not a power of two, or more than the device takes.</summary>
    BadSize,
    /// <summary>A ring's address was never set.</summary>
    NoAddress,
    /// <summary>A ring's address is not aligned.</summary>
    Misaligned,
    /// <summary>A ring does not lie in one piece of RAM.</summary>
    RingOutsideRam,
    /// <summary>The used ring overlaps another part of the queue.</summary>
    RingsOverlap,
    /// <summary>The available index moved by more than the queue's size.</summary>
    IndexJump,
    /// <summary>The available ring names a descriptor that does not exist.</summary>
    NoSuchHead,
    /// <summary>The available ring names a chain that the device still has.</summary>
    DuplicateHead,
    /// <summary>A descriptor's next one does not exist.</summary>
    NoSuchDescriptor,
    /// <summary>The chain is longer than the queue, or loops.</summary>
    ChainTooLong,
    /// <summary>The chain has more than 2^32 - 1 bytes.</summary>
    ChainTooLarge,
    /// <summary>A buffer does not lie in one piece of RAM.</summary>
    BufferOutsideRam,
    /// <summary>A buffer to read follows one to write.</summary>
    WrongOrder,
    /// <summary>An indirect descriptor that was not agreed on, lies inside another, or has a successor.</summary>
    IndirectNotAllowed,
    /// <summary>An indirect table that is empty, of an odd length, or outside RAM.</summary>
    BadIndirectTable,
    /// <summary>The chain has no room for the device's answer.</summary>
    NoRoomForAnswer,
    /// <summary>The host's kernel, or another process, which serves the queue, found it broken.</summary>
    Backend,
}
