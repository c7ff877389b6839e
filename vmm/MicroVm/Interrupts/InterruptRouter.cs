using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Interrupts;

/// <summary>Where interrupts go: one message per GSI, and the lines that are connected to it by an irqfd. The first GSIs are the I/O APIC's pins; those of MSI and MSI-X vectors follow.</summary>
/// <remarks>Changes are collected and handed to KVM by <see cref="Flush"/> in one call, which costs a grace period; a change that changes nothing costs nothing.
/// A masked GSI has its line disconnected: signals stay counted in the line's event, and unmasking delivers them once. Its route stays in KVM's table, so that unmasking with the same message needs no new table.
/// Callers hold no lock that a device thread needs; the router's own lock is the last in the lock order.</remarks>
internal sealed class InterruptRouter
{
    private readonly Lock _lock = new();
    private readonly IInterruptRoutes _vm;
    private readonly RouteTable _table = new();
    private readonly Stack<uint> _free = new();
    private Route[] _routes;
    private int _count;
    private bool _dirty;

    /// <param name="vm">Takes the routes.</param>
    /// <param name="pins">GSIs of the I/O APIC, from 0.</param>
    internal InterruptRouter(IInterruptRoutes vm, int pins)
    {
        _vm = vm;
        _routes = new Route[pins];
        _count = pins;
        _table.Reserve(pins);
    }

    /// <summary>GSIs in all.</summary>
    internal int GsiCount => _count;

    /// <summary>Tables handed to KVM so far, for tests and <c>explain</c>.</summary>
    internal long TablesSent { get; private set; }

    /// <summary>Names the line that raises a GSI. It is connected when the GSI is unmasked.</summary>
    internal void Attach(InterruptLine line)
    {
        lock (_lock)
        {
            if (_routes[line.Gsi].Line is not null) throw new InvalidOperationException($"GSI {line.Gsi} has a line already");
            _routes[line.Gsi].Line = line;
        }
    }

    /// <summary>A line for a message signalled interrupt, on a GSI of its own behind the pins. Masked at first; KVM hears of it when it is unmasked.</summary>
    /// <exception cref="MicroVmException">KVM has no more routes, or the host no descriptors.</exception>
    internal InterruptLine Allocate()
    {
        lock (_lock)
        {
            if (!_free.TryPop(out uint gsi))
            {
                if (_count == RouteTable.Max) throw MicroVmException.Host("too many interrupts", $"{RouteTable.Max} routes", "Give the machine fewer devices");
                if (_count == _routes.Length)
                {
                    Array.Resize(ref _routes, Math.Min(_count * 2 + 8, RouteTable.Max));
                    _table.Reserve(_routes.Length);
                }
                gsi = (uint)_count++;
            }
            _routes[gsi] = new Route { Line = MakeLine(gsi) };
            return _routes[gsi].Line!;
        }
    }

    private InterruptLine MakeLine(uint gsi)
    {
        InterruptLine? line = null;
        try
        {
            line = new InterruptLine(gsi);
            HostDescriptors.CheckGuestMay(line.Event.Fd, "an interrupt");
            return line;
        }
        catch
        {
            line?.Dispose();
            _free.Push(gsi);
            throw;
        }
    }

    /// <summary>Takes a line of <see cref="Allocate"/> back and closes it.</summary>
    internal void Release(InterruptLine line)
    {
        lock (_lock)
        {
            ref Route route = ref _routes[line.Gsi];
            if (route.Connected) Disconnect(ref route);
            // The stale route in KVM's table is harmless: nothing is connected to it, and the next table is without it.
            route = default;
            _free.Push(line.Gsi);
        }
        line.Dispose();
    }

    /// <summary>Sets the message of an unmasked GSI, or masks it.</summary>
    internal void Set(uint gsi, MsiMessage message, bool masked)
    {
        // KVM would take the destination out of any address; a write elsewhere is no interrupt.
        if (!message.IsInterrupt) masked = true;
        lock (_lock)
        {
            ref Route route = ref _routes[gsi];
            (route.Message, route.Masked, route.Known) = (message, masked, true);
            // The message of a masked GSI is handed over when it is unmasked.
            _dirty |= !masked && (!route.Sent || route.SentMessage != message);
        }
    }

    /// <summary>Makes KVM's table and connections equal to what was set.</summary>
    internal void Flush()
    {
        lock (_lock)
        {
            Span<Route> routes = _routes.AsSpan(0, _count);
            foreach (ref Route route in routes)
            {
                if (route is { Connected: true, Masked: true }) Disconnect(ref route);
            }
            if (_dirty) SendTable();
            foreach (ref Route route in routes)
            {
                if (route is { Connected: false, Known: true, Masked: false, Line: not null }) Connect(ref route);
            }
        }
    }

    /// <summary>The message and state of a GSI, for <c>explain</c> and crash reports.</summary>
    internal RouteLook Look(uint gsi)
    {
        lock (_lock) return new RouteLook(_routes[gsi].Message, _routes[gsi].Masked || !_routes[gsi].Known, _routes[gsi].Connected, _routes[gsi].Line);
    }

    private void SendTable()
    {
        _table.Clear();
        for (int gsi = 0; gsi < _count; gsi++)
        {
            ref Route route = ref _routes[gsi];
            if (route is { Known: true, Masked: false }) (route.Sent, route.SentMessage) = (true, route.Message);
            if (route.Sent) _table.Add((uint)gsi, route.SentMessage.Address, route.SentMessage.Data);
        }
        _vm.SetRoutes(_table);
        TablesSent++;
        _dirty = false;
    }

    private void Connect(ref Route route)
    {
        _vm.ConnectIrqFd(route.Line!.Event.Fd, route.Line.Gsi);
        // KVM delivers what was counted before, but leaves the count; it takes the count of later signals itself. See docs/decisions/0041.
        route.Line.Event.Drain();
        route.Connected = true;
    }

    private void Disconnect(ref Route route)
    {
        _vm.DisconnectIrqFd(route.Line!.Event.Fd, route.Line.Gsi);
        route.Connected = false;
    }

    private struct Route
    {
        internal InterruptLine? Line;
        internal MsiMessage Message, SentMessage;
        internal bool Known, Masked, Connected, Sent;
    }
}

/// <summary>A route as it stood when somebody looked.</summary>
/// <param name="Message">What its line becomes.</param>
/// <param name="Masked">It becomes nothing now.</param>
/// <param name="Connected">KVM listens to the line.</param>
/// <param name="Line">Who raises it, or null.</param>
internal readonly record struct RouteLook(MsiMessage Message, bool Masked, bool Connected, InterruptLine? Line);

/// <summary>A message signalled interrupt: what is written where.</summary>
/// <param name="Address">Address, in the local APICs' range.</param>
/// <param name="Data">Vector, delivery mode, trigger mode.</param>
internal readonly record struct MsiMessage(ulong Address, uint Data)
{
    /// <summary>The address is the local APICs'; any other is a write to somewhere else.</summary>
    internal bool IsInterrupt => Address >> 32 == 0 && ((uint)Address & (uint)MsiConst.AddressMask) == (uint)MsiConst.AddressBase;
}
