namespace MicroVm.Bus;

/// <summary>The last accesses of the guest, kept for crash reports. Always on: one interlocked increment and one store of 32 bytes an exit.</summary>
internal sealed class AccessTrace
{
    /// <summary>Accesses kept.</summary>
    internal const int Length = 32;

    private readonly Access[] _ring = new Access[Length];
    private int _next = -1;

    internal void Add(IRegisterBlock? block, ulong address, uint offset, int width, ulong value, bool write, IoStatus status, int vcpu)
    {
        uint slot = (uint)Interlocked.Increment(ref _next) % Length;
        _ring[slot] = new Access(block, address, value, offset, (byte)width, (byte)vcpu, write, status);
    }

    /// <summary>Copies the accesses, oldest first. While vCPUs run, an entry may be half of one access and half of another.</summary>
    internal Access[] Recent()
    {
        uint next = (uint)Volatile.Read(ref _next) + 1;
        var list = new List<Access>(Length);
        for (uint i = 0; i < Length; i++)
        {
            Access a = _ring[(next + i) % Length];
            if (a.Width != 0) list.Add(a);
        }
        return [.. list];
    }

    /// <summary>One access as it happened.</summary>
    internal readonly record struct Access(IRegisterBlock? Block, ulong Address, ulong Value, uint Offset, byte Width, byte Vcpu, bool Write, IoStatus Status);
}
