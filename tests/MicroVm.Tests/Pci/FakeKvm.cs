using MicroVm.Interrupts;
using MicroVm.Kvm;

namespace MicroVm.Tests.Pci;

/// <summary>Memory slots, doorbells, routes and irqfds as KVM keeps them, without a KVM: what KVM refuses is refused
/// here too, and so is an irqfd without a route, which KVM takes and nobody hears.</summary>
/// <remarks>A signal of a connected event is taken when it is disconnected, where KVM takes it when it comes: for what
/// can be seen between two calls of one thread that is the same.</remarks>
internal sealed unsafe class FakeKvm : IGuestSpace, IInterruptRoutes
{
    private readonly Stack<uint> _freeSlots = new();

    internal Dictionary<uint, MemorySlot> Slots { get; } = [];

    /// <summary>Memory slots that were ever in use at once.</summary>
    internal uint SlotsEver { get; private set; }

    internal HashSet<(ulong Address, uint Length, ulong? Match, int Fd)> Doorbells { get; } = [];

    /// <summary>The routes of the last table.</summary>
    internal Dictionary<uint, MsiMessage> Routes { get; } = [];

    /// <summary>Events that are connected, and to which GSI.</summary>
    internal Dictionary<int, uint> Connected { get; } = [];

    /// <summary>Messages that went to a processor, by GSI; signals that came together are one.</summary>
    internal Dictionary<uint, long> Delivered { get; } = [];

    public uint AddMemory(ulong guestAddress, ulong length, nint hostAddress, bool readOnly = false)
    {
        ulong end = guestAddress + length;
        if (length == 0 || end < guestAddress || (guestAddress | length | (ulong)hostAddress) % 4096 != 0)
            throw Refused("EINVAL: not pages", guestAddress);
        foreach (MemorySlot s in Slots.Values)
        {
            if (guestAddress < s.GuestAddress + s.Length && s.GuestAddress < end)
                throw Refused("EEXIST: slots overlap", guestAddress);
        }
        uint slot = _freeSlots.TryPop(out uint free) ? free : SlotsEver++;
        Slots.Add(slot, new MemorySlot(slot, guestAddress, length, hostAddress, readOnly));
        return slot;
    }

    public void RemoveMemory(uint slot)
    {
        if (!Slots.Remove(slot)) throw Refused("EINVAL: no such slot", slot);
        _freeSlots.Push(slot);
    }

    public void AddIoEventFd(ulong address, uint length, ulong? match, int eventFd)
    {
        foreach ((ulong at, uint width, ulong? value, _) in Doorbells)
        {
            bool widths = width == 0 || length == 0 || width == length;
            bool values = value is null || match is null || value == match;
            if (at == address && widths && values) throw Refused("EEXIST: doorbells collide", address);
        }
        Doorbells.Add((address, length, match, eventFd));
    }

    public void RemoveIoEventFd(ulong address, uint length, ulong? match, int eventFd)
    {
        if (!Doorbells.Remove((address, length, match, eventFd))) throw Refused("ENOENT: no such doorbell", address);
    }

    public void SetRoutes(RouteTable routes)
    {
        // As KVM reads it: the count, a word that must be 0, the entries.
        uint* head = (uint*)routes.Address;
        if (head[0] > RouteTable.Max || head[1] != 0) throw Refused("EINVAL: too many routes", head[0]);
        Routes.Clear();
        for (KvmAbi.RoutingEntry* e = (KvmAbi.RoutingEntry*)(head + 2), end = e + head[0]; e < end; e++)
        {
            if (e->Gsi >= RouteTable.Max || e->Type != KvmAbi.RoutingMsi) throw Refused("EINVAL: no route", e->Gsi);
            MsiMessage message = new(e->AddressLow | (ulong)e->AddressHigh << 32, e->Data);
            if (!message.IsInterrupt) throw Refused("a message that is no interrupt", message.Address);
            if (!Routes.TryAdd(e->Gsi, message)) throw Refused("EINVAL: two routes of one GSI", e->Gsi);
        }
    }

    public void ConnectIrqFd(int eventFd, uint gsi)
    {
        if (!Routes.ContainsKey(gsi)) throw Refused("an event without a route", gsi);
        if (!Connected.TryAdd(eventFd, gsi)) throw Refused("EBUSY: the event is connected", gsi);
        // What is counted is delivered and left: docs/decisions/0041.
        if (HostIo.Wait(eventFd, Libc.EPOLLIN, 0)) Deliver(gsi);
    }

    public void DisconnectIrqFd(int eventFd, uint gsi)
    {
        if (!Connected.TryGetValue(eventFd, out uint known) || known != gsi) throw Refused("not connected", gsi);
        Take(eventFd);
        Connected.Remove(eventFd);
    }

    /// <summary>Takes what a connected event has counted.</summary>
    internal void Take(int eventFd)
    {
        Span<byte> count = stackalloc byte[sizeof(ulong)];
        if (Connected.TryGetValue(eventFd, out uint gsi) && HostIo.Read(eventFd, count) == sizeof(ulong)) Deliver(gsi);
    }

    private void Deliver(uint gsi) => Delivered[gsi] = Delivered.GetValueOrDefault(gsi) + 1;

    private static InvalidOperationException Refused(string why, ulong what) => new($"KVM refuses: {why}, 0x{what:x}");
}
