using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>The table of interrupt routes in the form that KVM takes (<c>struct kvm_irq_routing</c>), kept between changes so that a change allocates nothing.</summary>
internal sealed unsafe class RouteTable
{
    /// <summary>Most routes that KVM takes (KVM_MAX_IRQ_ROUTES).</summary>
    internal const int Max = 4096;
    private const int HeaderSize = 8;

    private byte[] _bytes = [];
    private int _count;

    /// <summary>Routes in the table.</summary>
    internal int Count => _count;

    // SAFETY: the array is pinned and held by this object.
    internal void* Address => Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_bytes));

    /// <summary>Makes room for this many routes and forgets all that were there.</summary>
    internal void Reserve(int routes)
    {
        int size = HeaderSize + routes * sizeof(KvmAbi.RoutingEntry);
        if (_bytes.Length < size) _bytes = GC.AllocateArray<byte>(size, pinned: true);
        Clear();
    }

    /// <summary>Forgets all routes.</summary>
    internal void Clear() => Count32 = (uint)(_count = 0);

    /// <summary>Adds the message of a GSI.</summary>
    internal void Add(uint gsi, ulong address, uint data)
    {
        MemoryMarshal.Cast<byte, KvmAbi.RoutingEntry>(_bytes.AsSpan(HeaderSize))[_count] =
            new KvmAbi.RoutingEntry { Gsi = gsi, Type = KvmAbi.RoutingMsi, AddressLow = (uint)address, AddressHigh = (uint)(address >> 32), Data = data };
        Count32 = (uint)++_count;
    }

    private uint Count32 { set => MemoryMarshal.Write(_bytes, value); }
}
