using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>Puts the assigned devices into a machine that is being built.</summary>
internal static class VfioPlug
{
    /// <summary>Makes each device a function on bus 0.</summary>
    /// <param name="host">The devices.</param>
    /// <param name="pci">The buses.</param>
    /// <param name="router">Takes their messages.</param>
    /// <param name="ioApic">Says when the guest ended an interrupt of their line.</param>
    /// <param name="line">The line that they share, or null.</param>
    /// <param name="errors">Where refusals of the host are counted.</param>
    internal static VfioFunction[] Add(VfioHost host, PciHost pci, InterruptRouter router, IoApic ioApic, InterruptLine? line, GuestErrors errors)
    {
        VfioFunction[] functions = new VfioFunction[host.Devices.Count];
        for (int i = 0; i < functions.Length; i++)
        {
            (HostFunction function, VfioDeviceFile device) = host.Devices[i];
            PciAddress address = pci.NextAddress();
            functions[i] = new VfioFunction(address, pci.Page(address), function.Address, device, router, line?.Event, errors);
            pci.Plug(functions[i]);
        }
        if (line is not null) ioApic.LevelEnded = pin => EndOfInterrupt(functions, pin == line.Gsi);
        return functions;
    }

    private static void EndOfInterrupt(VfioFunction[] functions, bool ours)
    {
        if (!ours) return;
        foreach (VfioFunction function in functions) function.Interrupts.EndOfInterrupt();
    }
}

/// <summary>Watches for what ends an assignment from the host's side: an error of the device that cannot be recovered, and the wish of the host to have it back.</summary>
internal sealed class VfioEvents : IEventHandler, IDisposable
{
    private readonly EventLoop _loop;
    private readonly Action<string> _end;
    private readonly List<(EventFd Event, string What)> _watched = [];

    /// <param name="loop">Where it waits.</param>
    /// <param name="host">The devices.</param>
    /// <param name="end">Ends the machine, with the reason.</param>
    internal VfioEvents(EventLoop loop, VfioHost host, Action<string> end)
    {
        (_loop, _end) = (loop, end);
        foreach ((HostFunction function, VfioDeviceFile device) in host.Devices)
        {
            Watch(device, VfioAbi.IrqIndex.Error, $"assigned device {function.Address} reported an error that it cannot recover from");
            Watch(device, VfioAbi.IrqIndex.Request, $"the host wants assigned device {function.Address} back");
        }
    }

    public void OnReady(int token)
    {
        if (_watched[token].Event.Drain() != 0) _end(_watched[token].What);
    }

    public void Dispose()
    {
        foreach ((EventFd signal, _) in _watched)
        {
            _loop.Remove(signal.Fd);
            signal.Dispose();
        }
    }

    private void Watch(VfioDeviceFile device, VfioAbi.IrqIndex index, string what)
    {
        if (device.InterruptCount(index, out _) == 0) return;
        EventFd signal = new();
        _watched.Add((signal, what));
        if (device.Connect(index, 0, [signal.Fd]) == 0) _loop.Add(signal.Fd, this, _watched.Count - 1);
    }
}
