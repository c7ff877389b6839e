using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Transport;

/// <summary>What is logged for a queue that broke.</summary>
internal static class QueueFaultText
{
    internal static string Of(QueueFault fault) => fault switch
    {
        QueueFault.BadSize => "queue size is not a power of two within the limit",
        QueueFault.NoAddress => "ring without an address",
        QueueFault.Misaligned => "ring is misaligned",
        QueueFault.RingOutsideRam => "ring lies outside RAM",
        QueueFault.RingsOverlap => "rings overlap",
        QueueFault.IndexJump => "available index jumped",
        QueueFault.NoSuchHead => "available ring names no descriptor",
        QueueFault.DuplicateHead => "chain made available twice",
        QueueFault.NoSuchDescriptor => "chain leaves its table",
        QueueFault.ChainTooLong => "chain is too long or loops",
        QueueFault.ChainTooLarge => "chain has too many bytes",
        QueueFault.BufferOutsideRam => "buffer lies outside RAM",
        QueueFault.WrongOrder => "readable buffer after a writable one",
        QueueFault.IndirectNotAllowed => "indirect descriptor where none may be",
        QueueFault.BadIndirectTable => "indirect table is not one",
        QueueFault.NoRoomForAnswer => "chain without room for the answer",
        QueueFault.Backend => "the backend found a queue broken",
        _ => "queue is broken",
    };
}
