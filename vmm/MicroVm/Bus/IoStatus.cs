namespace MicroVm.Bus;

/// <summary>What became of one guest access. Closed: the bus alone decides what the guest reads and what is logged.</summary>
public enum IoStatus : byte
{
    /// <summary>Done.</summary>
    Ok,
    /// <summary>No register at this offset.</summary>
    NoRegister,
    /// <summary>The width is not one that the register takes.</summary>
    BadWidth,
    /// <summary>A write to a read-only register.</summary>
    ReadOnly,
    /// <summary>A read of a write-only register.</summary>
    WriteOnly,
    /// <summary>The register's guard does not hold, so the write was dropped.</summary>
    WrongState,
    /// <summary>The selector names no entry of the bank.</summary>
    NoSuchIndex,
    /// <summary>The device refused the value.</summary>
    Refused,
    /// <summary>No device at this address.</summary>
    NoDevice,
}
