using BenchmarkDotNet.Attributes;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;

namespace Dispatch.Bench;

/// <summary>Look-ups among N ranges: hits spread over all of them, and misses between them.</summary>
public class BusLookup
{
    private const int Count = 64;
    private const ulong First = 0xd000_0000, Stride = 0x2000;

    private AddressSpace _space = new("bench");
    private readonly ulong[] _hits = new ulong[Count], _misses = new ulong[Count];

    [Params(1, 8, 64, 512)]
    public int Ranges { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        IRegisterBlock block = new VirtioMmioDispatch.Parts().Transport;
        _space = new AddressSpace("bench");
        for (int i = 0; i < Ranges; i++) _space.Add(First + (ulong)i * Stride, block);
        Random random = new(1);
        for (int i = 0; i < Count; i++)
        {
            _hits[i] = First + (ulong)random.Next(Ranges) * Stride + (uint)random.Next(64) * 4;
            _misses[i] = _hits[i] + Stride / 2;
        }
    }

    [Benchmark(OperationsPerInvoke = Count, Description = "hit")]
    public uint Hit() => Find(_hits);

    [Benchmark(OperationsPerInvoke = Count, Description = "miss")]
    public uint Miss() => Find(_misses);

    private uint Find(ulong[] addresses)
    {
        uint sum = 0;
        foreach (ulong address in addresses)
        {
            if (_space.Find(address, 4, out uint offset) is not null) sum += offset;
        }
        return sum;
    }
}

/// <summary>All that this process does for one exit, from address to answer.</summary>
public class BusAccess
{
    private const ulong Base = 0xd000_0000;

    private readonly GuestBus _bus;

    public BusAccess()
    {
        AddressSpace space = new("mmio");
        space.Add(Base, new VirtioMmioDispatch.Parts().Transport);
        _bus = new GuestBus(space, new AccessTrace(), new GuestErrors(null), observer: null);
    }

    [Benchmark(OperationsPerInvoke = VirtioMmioDispatch.Count, Description = "virtio-mmio, 16 accesses")]
    public ulong Play()
    {
        ulong sum = 0;
        foreach (ref readonly Access a in VirtioMmioDispatch.Driver.AsSpan())
        {
            if (a.IsWrite) _bus.Write(0, Base + a.Offset, 4, a.Value);
            else sum += _bus.Read(0, Base + a.Offset, 4);
        }
        return sum;
    }

    [Benchmark(Description = "nobody there")]
    public ulong Nobody() => _bus.Read(0, 0xc000_0000, 4);
}
