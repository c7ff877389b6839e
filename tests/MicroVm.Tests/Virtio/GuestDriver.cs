using System.Runtime.CompilerServices;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Mmio;
using static MicroVm.Devices.VirtioMmio.Bits;

namespace MicroVm.Tests.Virtio;

/// <summary>A guest without a CPU: speaks to a device through its registers, guest memory and events, as a driver would, legal or not.</summary>
internal sealed class GuestDriver : IDisposable
{
    internal const ulong Ram = 64UL << 20;
    internal const ulong AllFeatures = ulong.MaxValue;
    internal const uint Ready = StatusAcknowledge | StatusDriver | StatusFeaturesOk | StatusDriverOk;

    private readonly EventFd _acknowledged = new();
    private readonly bool _ownsMemory;

    internal GuestDriver(VirtioDevice device, GuestMemory? memory = null)
    {
        _ownsMemory = memory is null;
        Memory = memory ?? GuestMemory.Allocate(Ram, 0xc000_0000, 0x1_0000_0000);
        Line = new InterruptLine(4);
        Errors = new GuestErrors(null) { Host = new HostNotes(null) };
        Page = new ResidentPage(4096);
        Mmio = new VirtioMmio(0, device, Memory, Line, _acknowledged, Errors, Page);
    }

    internal GuestMemory Memory { get; }
    internal InterruptLine Line { get; }
    internal GuestErrors Errors { get; }
    internal ResidentPage Page { get; }
    internal VirtioMmio Mmio { get; }
    internal List<GuestQueue> Queues { get; } = [];

    internal uint Status => Read("Status");
    internal bool NeedsReset => (Status & StatusNeedsReset) != 0;
    internal uint InterruptStatus => Page.Load<uint>(Offset("InterruptStatus"));

    internal static uint Offset(string name) => Array.Find(VirtioMmio.Catalog.Registers, r => r.Name == name)!.Offset;

    internal uint Read(string register)
    {
        _ = ReadAt(Offset(register), 4, out ulong value);
        return (uint)value;
    }

    internal IoStatus ReadAt(uint offset, int width, out ulong value)
    {
        lock (Mmio.Gate) return Mmio.Read(offset, width, out value);
    }

    internal IoStatus Write(string register, uint value, uint plus = 0) => WriteAt(Offset(register) + plus, 4, value);

    internal IoStatus WriteAt(uint offset, int width, ulong value)
    {
        lock (Mmio.Gate) return Mmio.Write(offset, width, value);
    }

    internal ulong OfferedFeatures()
    {
        _ = Write("DeviceFeaturesSel", 0);
        ulong low = Read("DeviceFeatures");
        _ = Write("DeviceFeaturesSel", 1);
        return low | ((ulong)Read("DeviceFeatures") << 32);
    }

    internal void Reset()
    {
        _ = Write("Status", 0);
        Queues.Clear();
        Line.Event.Drain();
    }

    /// <summary>Up to FEATURES_OK; true if the device took the features.</summary>
    internal bool Negotiate(ulong wanted = AllFeatures, bool exact = false)
    {
        Reset();
        _ = Write("Status", StatusAcknowledge);
        _ = Write("Status", StatusAcknowledge | StatusDriver);
        ulong features = exact ? wanted : wanted & OfferedFeatures();
        for (uint half = 0; half < 2; half++)
        {
            _ = Write("DriverFeaturesSel", half);
            _ = Write("DriverFeatures", (uint)(features >> (int)(32 * half)));
        }
        Features = features;
        _ = Write("Status", StatusAcknowledge | StatusDriver | StatusFeaturesOk);
        return (Status & StatusFeaturesOk) != 0;
    }

    internal ulong Features { get; private set; }

    internal void SetQueue(int index, uint size, ulong descriptors, ulong available, ulong used)
    {
        _ = Write("QueueSel", (uint)index);
        _ = Write("QueueNum", size);
        SetAddress("QueueDesc", descriptors);
        SetAddress("QueueDriver", available);
        SetAddress("QueueDevice", used);
        _ = Write("QueueReady", 1);
    }

    internal void DriverOk() => _ = Write("Status", Ready);

    /// <summary>Everything, as a well-behaved driver does it: all queues of the given size.</summary>
    internal GuestDriver Start(uint size, ulong features = AllFeatures)
    {
        Assert(Negotiate(features));
        AddQueues(size);
        DriverOk();
        Assert(Status == Ready);
        return this;
    }

    /// <summary>Sets up all queues, a mebibyte for each from <paramref name="at"/> on.</summary>
    internal void AddQueues(uint size, ulong at = 0x10_0000)
    {
        int count = Mmio.Device.QueueSizes.Length;
        for (int i = 0; i < count; i++)
        {
            GuestQueue queue = new(this, i, (ushort)Math.Min(size, Mmio.Device.QueueSizes[i]), at + (ulong)i * 0x10_0000);
            Queues.Add(queue);
            SetQueue(i, queue.Size, queue.Descriptors, queue.Available, queue.Used);
        }
    }

    internal EventFd Doorbell(int queue)
    {
        foreach (DoorbellRequest d in Mmio.Doorbells)
        {
            if (d.Offset == Offset("QueueNotify") && (d.Match is null || d.Match == (ulong)queue)) return d.Event;
        }
        throw new InvalidOperationException();
    }

    internal bool WaitForReset(int milliseconds = 5000) => Eventually(() => NeedsReset, milliseconds);

    internal static bool Eventually(Func<bool> condition, int milliseconds = 5000)
    {
        long end = Environment.TickCount64 + milliseconds;
        while (!condition())
        {
            if (Environment.TickCount64 > end) return false;
            Thread.Sleep(0);
        }
        return true;
    }

    /// <summary>Whether a thread comes to wait for something; false if it ends instead.</summary>
    internal static bool Waits(Thread thread) =>
        Eventually(() => !thread.IsAlive || (thread.ThreadState & ThreadState.WaitSleepJoin) != 0) && thread.IsAlive;

    public void Dispose()
    {
        Mmio.Dispose();
        Line.Dispose();
        _acknowledged.Dispose();
        if (_ownsMemory) Memory.Dispose();
    }

    private void SetAddress(string register, ulong value)
    {
        _ = Write(register, (uint)value);
        _ = Write(register, (uint)(value >> 32), plus: 4);
    }

    private static void Assert(bool condition, [CallerArgumentExpression(nameof(condition))] string? text = null)
    {
        if (!condition) throw new InvalidOperationException(text);
    }
}
