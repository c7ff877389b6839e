using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Virtio.Block;

/// <summary>What the host is asked to do with an image.</summary>
internal enum BlockOperation : byte
{
    Read,
    Write,
    /// <summary>A write that is durable when it is done.</summary>
    WriteThrough,
    Flush,
    /// <summary>Gives space back; reads give zeroes from then on.</summary>
    PunchHole,
    /// <summary>Makes zeroes without giving space back.</summary>
    ZeroRange,
    /// <summary>Writes zeroes, where the file system can do neither.</summary>
    WriteZeroes,
}

/// <summary>A request of the guest that is under way. All of it was copied and checked before; its buffers stand in a row of <see cref="Kvm.TransferVectors"/>.</summary>
internal struct BlockRequest
{
    /// <summary>Never used twice while a queue lives: what the kernel gives back late, or twice, is nobody's.</summary>
    internal ulong Id;
    internal ushort Head;
    internal VirtioBlockType Type;
    internal BlockOperation Operation;
    /// <summary>Where the next step begins, in bytes.</summary>
    internal ulong Offset;
    /// <summary>Bytes that are not done yet.</summary>
    internal ulong Left;
    /// <summary>Bytes of the chain that will have been written, without the status.</summary>
    internal uint Written;
    /// <summary>The image is flushed before it is answered: for zeroes and discards of a driver that does not flush.</summary>
    internal bool Durable;
    /// <summary>The host is to wait for the device instead of trying: a block device that cannot be tried answers EAGAIN.</summary>
    internal bool Waits;
    /// <summary>Where the driver reads the status.</summary>
    internal HostRange Answer;
}
