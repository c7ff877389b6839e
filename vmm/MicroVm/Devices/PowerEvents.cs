namespace MicroVm.Devices;

/// <summary>Ways in which the guest ends the machine.</summary>
public enum PowerEvent
{
    /// <summary>ACPI soft off.</summary>
    PowerOff,
    /// <summary>ACPI reset register.</summary>
    Reset,
    /// <summary>Exit port, with the guest's own code.</summary>
    Exit,
    /// <summary>The guest's kernel said that it panicked.</summary>
    Panic,
}

/// <summary>Hears what the guest does to its power. Called on a vCPU thread, which leaves the guest afterwards.</summary>
internal interface IPowerSink
{
    /// <param name="what">What the guest asked for.</param>
    /// <param name="code">The exit code with <see cref="PowerEvent.Exit"/>, else 0.</param>
    void OnPower(PowerEvent what, byte code);
}
