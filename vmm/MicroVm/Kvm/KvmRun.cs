using System.Runtime.CompilerServices;

namespace MicroVm.Kvm;

/// <summary>A view of <c>struct kvm_run</c> after an exit (<c>linux/kvm.h</c>).</summary>
internal readonly unsafe struct KvmRun(byte* run)
{
    internal const int ImmediateExitOffset = 1;

    internal KvmAbi.ExitReason Reason => (KvmAbi.ExitReason)Load<uint>(8);

    /// <summary>The <c>hw</c> and <c>fail_entry</c> cases: the processor's own reason.</summary>
    internal ulong HardwareReason => Load<ulong>(32);

    internal bool IoIsWrite => run[32] != 0;
    internal int IoWidth => run[33];
    internal ushort IoPort => Load<ushort>(34);
    internal uint IoCount => Load<uint>(36);

    /// <summary>Item <paramref name="index"/> of a port access (more than one for string instructions).</summary>
    internal ulong LoadIo(uint index) => Get(IoData(index), IoWidth);

    internal void StoreIo(uint index, ulong value) => Put(IoData(index), IoWidth, value);

    internal ulong MmioAddress => Load<ulong>(32);
    internal int MmioWidth => (int)Load<uint>(48);
    internal bool MmioIsWrite => run[52] != 0;
    internal ulong MmioValue
    {
        get => Load<ulong>(40);
        set => Unsafe.WriteUnaligned(run + 40, value);
    }

    internal byte EoiVector => run[32];
    internal uint SystemEventType => Load<uint>(32);
    internal uint InternalSuberror => Load<uint>(32);

    /// <summary>Where the host could not give memory, and for how many bytes.</summary>
    internal ulong FaultAddress => Load<ulong>(40);
    internal ulong FaultLength => Load<ulong>(48);

    // SAFETY: data_offset points into the mapping that KVM made for this exit.
    private byte* IoData(uint index) => run + Load<ulong>(40) + index * (uint)IoWidth;

    private T Load<T>(int offset) where T : unmanaged => Unsafe.ReadUnaligned<T>(run + offset);

    private static ulong Get(byte* at, int width) => width switch
    {
        1 => *at,
        2 => Unsafe.ReadUnaligned<ushort>(at),
        _ => Unsafe.ReadUnaligned<uint>(at),
    };

    private static void Put(byte* at, int width, ulong value)
    {
        if (width == 1) *at = (byte)value;
        else if (width == 2) Unsafe.WriteUnaligned(at, (ushort)value);
        else Unsafe.WriteUnaligned(at, (uint)value);
    }
}
