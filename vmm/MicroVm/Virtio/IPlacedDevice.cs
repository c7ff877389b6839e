using MicroVm.Memory;

namespace MicroVm.Virtio;

/// <summary>A device with guest memory of its own, outside of the RAM that the guest starts with.</summary>
internal interface IPlacedDevice
{
    /// <summary>Bytes of guest addresses that it needs, and a power of two of which the first is a multiple.</summary>
    (ulong Bytes, ulong Alignment) Needs { get; }

    /// <summary>Takes its place in the room for plugged memory, once, before there is a transport.</summary>
    void Place(GuestMemory memory);

    /// <summary>Gives the guest what it has from the start; after the guest's image is in place, so that it is no RAM of the memory map.</summary>
    /// <exception cref="MicroVmException">The host refuses.</exception>
    void Provide() { }
}
