using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm.Virtio.Console;

/// <summary>One port of a console device: its host's side, and what the driver said of it.</summary>
/// <param name="number">0 for the console itself (hvc0), from 1 for named ports.</param>
/// <param name="name">What the guest finds it by; null for the console.</param>
/// <param name="output">Takes what the guest writes, or null to throw it away.</param>
internal sealed class ConsolePort(int number, string? name, IOutputSink? output) : IDisposable
{
    internal int Number => number;

    internal string? Name => name;

    internal IOutputSink? Output => output;

    /// <summary>What the host's end is, for people.</summary>
    internal string? Host { get; init; }

    /// <summary>Bytes for the guest.</summary>
    internal ConsoleInput Input { get; } = new(held: name is not null);

    /// <summary>Somebody is at the host's end. A Linux guest that writes before waits.</summary>
    internal bool HostOpen { get; set; } = true;

    /// <summary>The driver has it. Under the control's lock.</summary>
    internal bool Ready { get; set; }

    /// <summary>What the driver is still to be told: each at most once, so that no guest makes a list of it grow. Under the control's lock.</summary>
    internal ConsoleNews News { get; set; }

    /// <summary>Its queue to the guest; those of the control lie between the first port's and the others'.</summary>
    internal int ReceiveQueue => number == 0 ? VirtioConsole.ReceiveQueue : VirtioConsole.ControlTransmitQueue - 1 + 2 * number;

    internal int TransmitQueue => ReceiveQueue + 1;

    public void Dispose() => Input.Dispose();
}

/// <summary>Messages about a port that wait for the driver, in the order in which they are sent.</summary>
[Flags]
internal enum ConsoleNews
{
    None = 0,
    Add = 1,
    Console = 2,
    Size = 4,
    Name = 8,
    Open = 16,
}
