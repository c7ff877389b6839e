using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Transport;
using MicroVm.Virtio.VhostUser;

namespace MicroVm.Diagnostics.Explain;

/// <summary>The virtio part of the picture: what was agreed, where each ring stands, who wants to be told what, and what each device counted.
/// The rings are read where the driver said that they are, if that is memory at all.</summary>
internal static class VirtioPicture
{
    internal static void Add(List<Section> picture, MachineParts parts)
    {
        VirtioNames names = new();
        Section devices = new("virtio", "place", "id", "device", "status", "agreed", "notAgreed", "backend"), counters = new("counters", "place", "device", "counter", "value");
        Section queues = new("queues", "place", "queue", "name", "size", "descriptors", "available", "used", "availableIndex", "usedIndex", "inFlight", "kick", "interrupt", "doorbell");
        foreach ((string place, TransportCore core, ulong? doorbell, uint stride) in Cores(parts))
        {
            VirtioDevice device = core.Device;
            bool isFree = core.TryLook(out VirtioStatus status, out QueueRequest?[] ready);
            ulong agreed = core.Accepted;
            devices.Add(place, device.Id, device.Name, isFree ? $"{status}" : "busy",
                names.Features(device.DeviceId, agreed), names.Features(device.DeviceId, device.Features & ~agreed),
                device is VhostUserDevice user ? user.HasBackend ? "there" : "gone" : null);
            for (int i = 0; i < ready.Length; i++)
            {
                string? bell = doorbell is { } at ? Section.Hex(at + (ulong)i * stride) : null;
                if (ready[i] is { } queue) AddQueue(queues, place, i, names.Queue(device.DeviceId, i), queue, parts.Memory, (agreed & (ulong)VirtioFeatures.RingEventIdx) != 0, bell);
            }
            foreach ((string name, long value) in device.Counts) counters.Add(place, device.Name, name, value);
        }
        picture.AddRange([devices, queues, counters]);
    }

    private static void AddQueue(Section section, string place, int index, string? name, in QueueRequest q, GuestMemory memory, bool events, string? doorbell)
    {
        ushort? available = Word(memory, q.Available + VirtqConst.RingIndex), used = Word(memory, q.Used + VirtqConst.RingIndex);
        ushort? inFlight = available is { } a && used is { } u ? (ushort)(a - u) : null;
        section.Add(place, index, name, q.Size, Section.Hex(q.Descriptors), Section.Hex(q.Available), Section.Hex(q.Used), available, used, inFlight,
            events ? EventText(Word(memory, q.Used + VirtqConst.RingEntries + (ulong)q.Size * (uint)Unsafe.SizeOf<VirtqUsedElem>()), available, q.Size) : FlagText(Word(memory, q.Used + VirtqConst.RingFlags)),
            events ? EventText(Word(memory, q.Available + VirtqConst.RingEntries + (ulong)q.Size * sizeof(ushort)), used, q.Size) : FlagText(Word(memory, q.Available + VirtqConst.RingFlags)),
            doorbell);
    }

    /// <summary>With EVENT_IDX (Virtio 1.2, 2.7.7.2 and 2.7.10): the other side wants to be told when the index passes <paramref name="wish"/>.</summary>
    internal static string EventText(ushort? wish, ushort? index, uint size)
    {
        if (wish is not { } wanted || index is not { } now) return "its ring is not in RAM";
        ushort left = (ushort)(wanted - now + 1);
        return left != 0 && left <= size ? $"asked for at {(ushort)(wanted + 1)}" : $"not asked for ({wanted})";
    }

    // Either ring's flag that says "do not" is 1.
    private static string FlagText(ushort? flags) => flags is not { } f ? "its ring is not in RAM" : (f & VirtqConst.AvailNoInterrupt) == 0 ? "asked for" : "not asked for";

    private static ushort? Word(GuestMemory memory, ulong address) => memory.TryRead(address, out ushort value) ? value : null;

    private static IEnumerable<(string Place, TransportCore Core, ulong? Doorbell, uint Stride)> Cores(MachineParts parts)
    {
        uint notify = Array.Find(VirtioMmio.Catalog.Registers, static r => r.Name == "QueueNotify")!.Offset;
        for (int i = 0; i < parts.Virtio.Length; i++) yield return ($"virtio-mmio[{i}]", parts.Virtio[i].Core, MachineMap.Virtio.Base + (ulong)i * MachineMap.Virtio.Stride + notify, 0);
        foreach (PciFunction function in parts.Pci?.Root.Functions ?? [])
        {
            if (function is VirtioPciFunction virtio)
                yield return (function.Address.ToString(), virtio.Common.Core, function.Bars[0].Address + VirtioPciConst.NotifyOffset, (uint)VirtioPciConst.NotifyMultiplier);
        }
    }
}
