using System.Numerics;
using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;

namespace MicroVm.Virtio.Queue;

/// <summary>What a driver wrote into a queue's registers; not yet looked at.</summary>
/// <param name="Size">Entries.</param>
/// <param name="Descriptors">Guest address of the descriptor table.</param>
/// <param name="Available">Guest address of the available ring ("driver area").</param>
/// <param name="Used">Guest address of the used ring ("device area").</param>
public readonly record struct QueueRequest(uint Size, ulong Descriptors, ulong Available, ulong Used);

/// <summary>A split queue as it stood, checked, when the driver set DRIVER_OK. Nothing that the guest writes to a register changes it afterwards (CVE-2026-5747).</summary>
/// <remarks>Holds all that a backend in the host kernel (vhost) needs as well: size, addresses, kick.</remarks>
public sealed class QueueSetup
{
    private QueueSetup(int index, in QueueRequest request, EventFd kick, ulong features, IDeviceMemory? behind)
    {
        Index = index;
        Size = (ushort)request.Size;
        Request = request;
        Kick = kick;
        (Behind, Traffic) = (behind, behind is null ? null : new QueueTraffic(Size));
        EventIndex = (features & (ulong)VirtioFeatures.RingEventIdx) != 0;
        Indirect = (features & (ulong)VirtioFeatures.RingIndirectDesc) != 0;
    }

    /// <summary>Number of the queue in its device.</summary>
    public int Index { get; }

    /// <summary>Entries, a power of two.</summary>
    public ushort Size { get; }

    /// <summary>Most segments of one chain; at least <see cref="Size"/>.</summary>
    public ushort MaxSize { get; private init; }

    /// <summary>Guest addresses, for backends elsewhere and for <c>explain</c>.</summary>
    public QueueRequest Request { get; }

    /// <summary>The guest's doorbell.</summary>
    public EventFd Kick { get; }

    /// <summary>VIRTIO_F_EVENT_IDX was agreed on.</summary>
    public bool EventIndex { get; }

    /// <summary>VIRTIO_F_INDIRECT_DESC was agreed on.</summary>
    public bool Indirect { get; }

    /// <summary>The IOMMU's view of memory, or null where addresses are the guest's physical ones.</summary>
    internal IDeviceMemory? Behind { get; }

    /// <summary>With an IOMMU: what the queue has on its way.</summary>
    internal QueueTraffic? Traffic { get; }

    internal HostRange Descriptors { get; private set; }

    internal HostRange Available { get; private set; }

    internal HostRange Used { get; private set; }

    /// <summary>Offset of <c>used_event</c> in the available ring.</summary>
    internal uint UsedEventOffset => VirtqConst.RingEntries + (uint)Size * sizeof(ushort);

    /// <summary>Offset of <c>avail_event</c> in the used ring.</summary>
    internal uint AvailEventOffset => VirtqConst.RingEntries + (uint)Size * (uint)Unsafe.SizeOf<VirtqUsedElem>();

    /// <summary>Checks a request against the device's limit and the guest's memory.</summary>
    /// <param name="index">Number of the queue.</param>
    /// <param name="request">The registers.</param>
    /// <param name="maxSize">Largest size that the device takes.</param>
    /// <param name="features">Features agreed on.</param>
    /// <param name="memory">Guest memory.</param>
    /// <param name="kick">The queue's doorbell.</param>
    /// <param name="setup">The frozen queue.</param>
    public static QueueFault TryCreate(
        int index, in QueueRequest request, ushort maxSize, ulong features, GuestMemory memory, EventFd kick, out QueueSetup? setup) =>
        TryCreate(index, request, maxSize, features, memory, null, kick, out setup);

    internal static QueueFault TryCreate(
        int index, in QueueRequest request, ushort maxSize, ulong features, GuestMemory memory, IDeviceMemory? behind, EventFd kick, out QueueSetup? setup)
    {
        setup = null;
        if (request.Size > maxSize || !BitOperations.IsPow2(request.Size)) return QueueFault.BadSize;
        QueueSetup made = new(index, request, kick, features, behind) { MaxSize = maxSize };
        // From before its rings are looked up: a mapping that ends later is seen to be a ring's.
        if (made.Traffic is { } traffic) behind!.Watch(traffic);
        QueueFault fault = made.Locate(memory);
        if (fault == QueueFault.None) setup = made;
        return fault;
    }

    private QueueFault Locate(GuestMemory memory)
    {
        ulong descriptors = (ulong)Size * (ulong)Unsafe.SizeOf<VirtqDesc>();
        // With or without EVENT_IDX: the two bytes of the event index are part of the layout.
        ulong available = UsedEventOffset + sizeof(ushort), used = AvailEventOffset + sizeof(ushort);
        if (Request.Descriptors == 0 || Request.Available == 0 || Request.Used == 0) return QueueFault.NoAddress;
        if (Request.Descriptors % VirtqConst.DescAlign != 0 || Request.Available % VirtqConst.AvailAlign != 0 || Request.Used % VirtqConst.UsedAlign != 0)
            return QueueFault.Misaligned;
        if (!TryRing(memory, 0, Request.Descriptors, descriptors, write: false, out HostRange d) || !TryRing(memory, 1, Request.Available, available, write: false, out HostRange a)
            || !TryRing(memory, 2, Request.Used, used, write: true, out HostRange u))
            return QueueFault.RingOutsideRam;
        if (Overlap(Request.Used, used, Request.Descriptors, descriptors) || Overlap(Request.Used, used, Request.Available, available))
            return QueueFault.RingsOverlap;
        (Descriptors, Available, Used) = (d, a, u);
        return QueueFault.None;
    }

    // A ring is one piece of RAM, behind an IOMMU too: with 256 entries at most none of the three is longer than a page, and drivers do not split them.
    private bool TryRing(GuestMemory memory, int ring, ulong address, ulong length, bool write, out HostRange range)
    {
        if (Behind is null) return memory.TryRange(address, length, out range);
        Traffic!.SetRing(ring, address, length);
        return Behind.TryTranslate(address, length, write, out range) && range.Length == length;
    }

    // Both lie in RAM or are mapped, so that no sum wraps.
    private static bool Overlap(ulong a, ulong aLength, ulong b, ulong bLength) => a < b + bLength && b < a + aLength;
}
