using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using Xunit;

namespace MicroVm.Tests.Scarce;

/// <summary>Row R2 while a machine runs: a device is plugged in when the host has few descriptors left. What the
/// options
/// name is made, and made a PCI function of; or refused, and nothing of it stays.</summary>
public sealed class PlugTests
{
    private const int Enough = 60;
    private static readonly RateLimits s_limits = new(1 << 20, 100);

    public static TheoryData<string> Kinds =>
    [
        "disk", "disk of four queues and limits", "disk on a ring", "net", "net of two pairs and limits", "vsock",
        "rng", "balloon", "mem", "pmem",
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void R2_a_device_that_is_plugged_in_with_few_descriptors_left_comes_or_is_refused_by_name(string kind) =>
        Child.Run(WithFewDescriptors, kind);

    private static void WithFewDescriptors(string kind)
    {
        using GuestMemory memory =
            GuestMemory.Allocate(64 << 20, MachineMap.LowMemory.End, MachineMap.HighMemory.Start);
        using OutputPump log = new(-1, "none");
        using EventLoop loop = new("devices", ThreadOwner.Process);
        VirtioFactory factory = new(new Lazy<EventLoop>(loop), log, new HostNotes(null), 2, ThreadOwner.Process);
        using ResidentArea page = new(1);
        int before = 0, refused = 0, came = 0;
        for (int left = Enough; left >= 0; left--)
        {
            VirtioOptions options = Options(kind, out int[] given);
            MicroVmException? error = null;
            using (Scarcity.OfDescriptors(left))
            {
                try
                {
                    Plug(factory, options, page.Page(0), memory).Dispose();
                    came++;
                }
                catch (MicroVmException e)
                {
                    error = e;
                    refused++;
                }
            }
            foreach (int descriptor in given) _ = Libc.close(descriptor);
            if (error is not null)
            {
                Assert.Equal(FailureKind.Host, error.Kind);
                Assert.Contains("ulimit -n", error.Remedy, StringComparison.Ordinal);
            }
            // The first one makes what the process keeps.
            int open = Scarcity.Open;
            if (left == Enough) before = open;
            else Assert.True(open == before, $"{left} left, {error?.Message}: {open} descriptors, before {before}");
        }
        Console.WriteLine($"{came} came, {refused} refused");
        Assert.InRange(refused, 1, Enough);
        Assert.InRange(came, 1, Enough);
    }

    // As a slot does it.
    private static VirtioPciFunction Plug(
        VirtioFactory factory, VirtioOptions options, ResidentPage page, GuestMemory memory)
    {
        InterruptRouter router = new(new KvmVm(-1, 0), 0);
        GuestErrors errors = new(null);
        VirtioDevice device = factory.Make(options);
        try
        {
            return new VirtioPciFunction(new PciAddress(1, 0, 0), page, device, memory, router, null, errors);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    private static VirtioOptions Options(string kind, out int[] given)
    {
        string file = Path.Combine(Child.Folder, "file");
        using (FileStream stream = File.Create(file)) stream.SetLength(4 << 20);
        given = [];
        switch (kind)
        {
            case "disk": return new DiskOptions(file);
            case "disk of four queues and limits": return new DiskOptions(file) { Queues = 4, Limits = s_limits };
            case "disk on a ring": return new DiskOptions(file) { Engine = DiskEngine.IoUring };
            case "vsock": return new VsockOptions(5, Path.Combine(Child.Folder, "v"));
            case "rng": return new RngOptions();
            case "balloon": return new BalloonOptions { StatisticsSeconds = 1 };
            case "mem": return new MemOptions(256 << 20);
            case "pmem": return new PmemOptions(file);
        }
        (int first, int second) = NetGuest.Pair();
        given = [first, second];
        if (kind == "net") return new NetOptions { Descriptors = [first] };
        (int third, int fourth) = NetGuest.Pair();
        given = [first, second, third, fourth];
        return new NetOptions { Descriptors = [first, third], Queues = 2, Limits = s_limits };
    }
}
