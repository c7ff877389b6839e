using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>A vector of guest memory for one positional transfer after another, made once.</summary>
internal sealed unsafe class IoVectors(int capacity)
{
    private readonly Libc.IoVec[] _list = new Libc.IoVec[capacity];
    private int _count;

    /// <summary>Takes over the ranges, empty ones left out.</summary>
    /// <exception cref="IndexOutOfRangeException">More than the capacity.</exception>
    internal void Set(ReadOnlySpan<HostRange> ranges)
    {
        _count = 0;
        foreach (ref readonly HostRange range in ranges)
        {
            // SAFETY: checked guest memory, which outlives the transfer: a device is reset before the memory goes.
            if (range.Length != 0) _list[_count++] = new Libc.IoVec { Base = range.Address, Length = (nuint)range.Length };
        }
    }

    /// <summary>Reads into the ranges; see <see cref="HostFile.Read(Span{Libc.IoVec}, ulong)"/>. Once per <see cref="Set"/>.</summary>
    internal long Read(HostFile file, ulong offset) => file.Read(_list.AsSpan(0, _count), offset);

    /// <summary>Writes from the ranges, once per <see cref="Set"/>.</summary>
    internal long Write(HostFile file, ulong offset) => file.Write(_list.AsSpan(0, _count), offset);
}
