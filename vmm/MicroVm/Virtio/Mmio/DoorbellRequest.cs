using MicroVm.Events;

namespace MicroVm.Virtio.Mmio;

/// <summary>A write that KVM shall turn into an event without an exit (ioeventfd).</summary>
/// <param name="Offset">Register, from the block's base.</param>
/// <param name="Width">Bytes of the write.</param>
/// <param name="Match">Only this value, or null for any; any other value exits.</param>
/// <param name="Event">The event; owned by the transport or the machine.</param>
public readonly record struct DoorbellRequest(uint Offset, int Width, ulong? Match, EventFd Event);
