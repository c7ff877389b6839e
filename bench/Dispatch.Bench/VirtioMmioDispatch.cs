using BenchmarkDotNet.Attributes;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Virtio.Rng;

namespace Dispatch.Bench;

/// <summary>The same registers three ways: generated, a switch by hand, a dictionary of delegates. All three keep the resident page true after a write.</summary>
public class VirtioMmioDispatch
{
    internal const int Count = 16;

    // What a driver does between reset and FEATURES_OK, without what makes the device work.
    internal static readonly Access[] Driver =
    [
        Access.Read(0x000), Access.Read(0x004), Access.Read(0x008), Access.Read(0x00c),
        Access.Write(0x014, 0), Access.Read(0x010), Access.Write(0x014, 1), Access.Read(0x010),
        Access.Write(0x024, 0), Access.Write(0x030, 0), Access.Read(0x034), Access.Read(0x044),
        Access.Read(0x060), Access.Read(0x070), Access.Write(0x030, 1), Access.Read(0x0fc),
    ];

    private readonly Parts _parts = new();
    private readonly HandWrittenVirtioMmio _byHand = new();
    private readonly DictionaryVirtioMmio _dictionary = new();

    [Benchmark(OperationsPerInvoke = Count, Description = "generated")]
    public ulong Generated() => Driver.Play(_parts.Transport, 4);

    [Benchmark(OperationsPerInvoke = Count, Baseline = true, Description = "switch by hand")]
    public ulong ByHand() => Driver.Play(_byHand, 4);

    [Benchmark(OperationsPerInvoke = Count, Description = "dictionary of delegates")]
    public ulong Dictionary() => Driver.Play(_dictionary, 4);

    /// <summary>A transport with an entropy device, made without KVM.</summary>
    internal sealed class Parts
    {
        internal VirtioMmio Transport { get; } = new(0, new VirtioRngDevice(new EventLoop("bench",
            ThreadOwner.Process)), GuestMemory.Allocate(2 << 20, 1ul << 31, 1ul << 32),
            new InterruptLine(5), new EventFd(), new GuestErrors(null), new ResidentPage(4096));
    }
}
